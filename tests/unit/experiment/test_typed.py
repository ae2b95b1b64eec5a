import pytest

from lesionbench.errors import UserError
from lesionbench.experiment.config import read_schema
from lesionbench.experiment.typed import (
    check_config_files,
    expand_pathvars,
    expanded,
    hidden_keys,
    place_own_files,
    read_as,
    read_config_file,
)


def read(config):
    return read_as(config, read_schema(), read_schema())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ({"split": {"folds": 5.0, "seed": 1.0}}, {"split": {"folds": 5, "seed": 1}}),
        ({"seeds": [0.0, "1"]}, {"seeds": [0, 1]}),
        ({"training": {"learning_rate": "1e-4"}}, {"training": {"learning_rate": 0.0001}}),
        ({"training": {"learning_rate": "1.0e-4"}}, {"training": {"learning_rate": 0.0001}}),
        ({"training": {"compile": "yes"}}, {"training": {"compile": True}}),
        ({"preprocessing": {"hu_window": ["-1000", 400.0]}}, {"preprocessing": {"hu_window": [-1000, 400]}}),
        ({"preprocessing": {"hu_scale": 1000.0}}, {"preprocessing": {"hu_scale": 1000}}),
        ({"dataset": {"phantom": "null"}}, {"dataset": {"phantom": None}}),
        (
            {"figures": {"slices": [{"study": "1", "slice": "20"}]}},
            {"figures": {"slices": [{"study": "1", "slice": 20}]}},
        ),
        ({"figures": {"slices": "auto"}}, {"figures": {"slices": "auto"}}),
        ({"models": {"5": {"label": "1e3", "training": None}}}, {"models": {"5": {"label": "1e3", "training": {}}}}),
        (
            {"models": {"a": {"options": {"width": "4", "channels": ["8"], "attention": "scse"}}}},
            {"models": {"a": {"options": {"width": 4, "channels": [8], "attention": "scse"}}}},
        ),
    ],
)
def test_values_become_what_the_schema_wants(typed, meant):
    assert repr(read(typed)) == repr(meant)


@pytest.mark.parametrize("value", ["fast", "nan", "1.5.2", True, [1], float("inf")])
def test_what_is_no_number_is_left_for_the_check(value):
    assert repr(read({"training": {"batch_size": value}})) == repr({"training": {"batch_size": value}})


def test_paths_are_expanded_wherever_the_schema_has_one(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCANS", "/scans")
    config = {
        "dataset": {"root": "$SCANS/mosmed"},
        "split": {"file": "~/split.csv"},
        "models": {
            "a": {"encoder_weights": "~/w.safetensors", "label": "~ $SCANS"},
            "b": {"predictions": "${SCANS}/b"},
        },
        "reference_results": "~/paper.csv",
        "pathvars": {"results": "~/results"},
    }
    assert read(config) == {
        "dataset": {"root": "/scans/mosmed"},
        "split": {"file": f"{tmp_path}/split.csv"},
        "models": {
            "a": {"encoder_weights": f"{tmp_path}/w.safetensors", "label": "~ $SCANS"},
            "b": {"predictions": "/scans/b"},
        },
        "reference_results": f"{tmp_path}/paper.csv",
        "pathvars": {"results": f"{tmp_path}/results"},
    }


def test_every_key_that_takes_a_path_is_marked_in_the_schema():
    schema = read_schema()
    sections = [schema["properties"], *(rule.get("properties", {}) for rule in schema["properties"].values())]
    marked = {name for section in [*sections, schema["$defs"]["model"]["properties"]] for name in section if
              section[name].get("x-path")}  # fmt: skip
    paths = {
        "architecture",
        "root",
        "table",
        "file",
        "predictions",
        "encoder_weights",
        "reference_results",
        "results",
        "logs",
        "resources",
        "scans",
    }
    assert marked == paths


@pytest.mark.parametrize("path", ["$NOT_SET_ANYWHERE/scans", "${NOT_SET_ANYWHERE}/scans"])
def test_a_variable_that_is_not_set_is_named(path):
    with pytest.raises(UserError, match=r"dataset\.root: .* NOT_SET_ANYWHERE is not set"):
        expanded(path, "dataset.root")


def test_an_unknown_user_is_named():
    with pytest.raises(UserError, match="there is no such user"):
        expanded("~nobody-of-this-name/scans", "dataset.root")


def test_snakemakes_own_folders_are_expanded_in_place(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    folders = {"results": "~/results", "logs": "logs"}
    expand_pathvars(folders)
    assert folders == {"results": "/home/me/results", "logs": "logs"}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("seeds: [0]\ncompare: [a]\nseeds: [1]\n", "seeds is given twice, in line 1 and line 3"),
        ("training:\n  batch_size: 4\n  batch_size: 8\n", "batch_size is given twice, in line 2 and line 3"),
        ("figures: {slices: [{study: a, study: b}]}", "study is given twice, in line 1 and line 1"),
    ],
)
def test_a_double_key_is_told_with_its_file_and_both_lines(tmp_path, text, lines):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=f"config.yaml: the key {lines}"):
        check_config_files([tmp_path / "config.yaml"])


def test_one_key_in_two_sections_and_an_alias_are_no_double_keys(tmp_path):
    (tmp_path / "a.yaml").write_text("split: &same {seed: 1}\ndataset: {phantom: {seed: 1}, also: *same}\n")
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    check_config_files([tmp_path / "a.yaml", tmp_path / "empty.yaml"])


def test_real_and_synthetic_data_in_one_file_are_refused_and_in_two_are_not(tmp_path):
    real, synthetic, both = (tmp_path / f"{name}.yaml" for name in ("real", "synthetic", "both"))
    real.write_text("dataset: {root: data, phantom: null}\n")
    synthetic.write_text("dataset: {phantom: {seed: 1}}\n")
    check_config_files([real, synthetic])
    both.write_text("dataset: {root: data, phantom: {}}\n")
    with pytest.raises(UserError, match=r"both\.yaml: dataset\.root and dataset\.phantom are both given"):
        check_config_files([real, both])


def test_what_an_overlay_hides_is_named_where_it_was_changed(tmp_path):
    base, overlay, last = (tmp_path / f"{name}.yaml" for name in ("base", "overlay", "last"))
    base.write_text(
        "training: {learning_rate: 0.01, max_epochs: 100, patience: 9, loss: dice_ce}\n"
        "compare: [unet]\nevaluation: {threshold: validation}\n"
    )
    overlay.write_text("training: {learning_rate: 0.001, max_epochs: 5, patience: 9}\ncompare: [other]\n")
    last.write_text("training: {learning_rate: 0.002}\nevaluation:\n  threshold: 0.3\n")
    assert hidden_keys([base], read_schema()) == []
    assert hidden_keys([base, overlay, last], read_schema()) == [
        f"{last} sets training.learning_rate, so the 0.01 of {base} does not count.",
        f"{last} sets evaluation.threshold, so the validation of {base} does not count.",
    ]


def test_no_preset_hides_what_config_yaml_says_as_it_comes(repository):
    presets = [*repository.glob("presets/*.yaml"), *repository.glob("presets/data/*.yaml")]
    assert presets
    for preset in presets:
        check_config_files([repository / "config.yaml", preset])
        assert hidden_keys([repository / "config.yaml", preset], read_schema()) == []


def test_one_file_of_a_configuration_is_read(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("dataset: {root: scans}\n")
    assert read_config_file(path) == {"dataset": {"root": "scans"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: [", "cannot be read as YAML"),
        (b"\x1f\x8b\xff", "cannot be read as YAML"),
        (b"just words", "holds no keys"),
        (b"", "holds no keys"),
        (b"a: 1\na: 2\n", "given twice"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path, text, said):
    path = tmp_path / "config.yaml"
    path.write_bytes(text)
    with pytest.raises(UserError, match=f"config.yaml: .*{said}"):
        read_config_file(path)


def test_a_file_of_code_is_looked_for_beside_the_configuration_that_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("presets/net.py", "presets/both.py", "both.py", "here.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    named = {"a": "net.py:Net", "b": "both.py:Net", "c": "here.py:Net", "d": f"{tmp_path}/here.py:Net", "e": "pkg:Net"}
    lines = "".join(f"  {name}: {{architecture: '{value}'}}\n" for name, value in named.items())
    (tmp_path / "presets" / "overlay.yaml").write_text(f"models:\n{lines}  f: {{architecture: net.py:Net}}\n")
    (tmp_path / "config.yaml").write_text("models:\n  a: {architecture: here.py:Net}\n")
    (tmp_path / "empty.yaml").write_text("models:\n")
    config = {"models": {name: {"architecture": value} for name, value in named.items()}}
    config["models"]["f"] = {"architecture": "Unet"}  # by --config
    place_own_files(config, ["config.yaml", "presets/overlay.yaml", "empty.yaml"])
    found = {name: model["architecture"] for name, model in config["models"].items()}
    assert found == {
        "a": "presets/net.py:Net",
        "b": "presets/both.py:Net",
        "c": "here.py:Net",
        "d": "here.py:Net",
        "e": "pkg:Net",
        "f": "Unet",
    }
    sweep = {"architecture": ["net.py:A", "Unet"]}
    (tmp_path / "presets" / "sweep.yaml").write_text(f"models: {{a: {{sweep: {sweep}}}, b: {sweep}}}\n")
    place_own_files(config := {"models": {"a": {"sweep": dict(sweep)}, "b": dict(sweep)}}, ["presets/sweep.yaml"])
    placed = {"architecture": ["presets/net.py:A", "Unet"]}
    assert config == {"models": {"a": {"sweep": placed}, "b": placed}}
    place_own_files(config := {"models": None}, ["presets/overlay.yaml"])
    assert config == {"models": None}


BOMB = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 20_000, "it is nested too deeply"),
        (f"seeds: [{'9' * 5000}]", "digits"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (BOMB, r"its aliases \(\*name\) stand for more than 1,000,000 values"),
        ("a: &a [*a]", r"its aliases \(\*name\) stand for more"),
    ],
)
def test_a_hostile_configuration_is_refused(tmp_path, text, said):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"config\.yaml: .*{said}"):
        read_config_file(tmp_path / "config.yaml")


@pytest.mark.parametrize("path", ["a" * 256, "a\0b", "\ud800"])
def test_a_path_that_no_file_can_have_is_refused(path):
    with pytest.raises(UserError, match=r"dataset\.root: no file can be called"):
        read({"dataset": {"root": path}})
