from itertools import combinations
from pathlib import Path

import pytest
import yaml

from lesionbench.errors import UserError
from lesionbench.evaluation.statistics import studies_needed
from lesionbench.experiment.config import (
    check_resolved,
    dataset_settings,
    fill_empty_sections,
    read_schema,
    resolve_config,
)
from lesionbench.experiment.plan import plan_experiment

REPOSITORY = Path(__file__).parents[3]


def read(name):
    return yaml.safe_load((REPOSITORY / name).read_text())


def merged(base, overlay):
    """Merge as Snakemake merges configuration files: mappings by key, all else replaced."""
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged(base[key], value)
        else:
            base[key] = value
    return base


def walk(schema, path=()):
    for name, rule in schema.get("properties", {}).items():
        yield (*path, name), rule
        yield from walk(rule, (*path, name))


@pytest.mark.parametrize("preset", sorted(path.name for path in (REPOSITORY / "presets").glob("*.yaml")))
def test_presets_are_valid_over_the_default(preset):
    resolve_config(merged(read("config.yaml"), read(f"presets/{preset}")))


def test_the_demo_compares_its_models_on_enough_studies_to_tell_them_apart():
    default, demo = read("config.yaml"), merged(read("config.yaml"), read("presets/demo.yaml"))
    experiment = plan_experiment(demo)
    needed = studies_needed(len(list(combinations(experiment.rows, 2))))
    assert [len(fold.test) >= needed for fold in experiment.folds.values()] == [True]
    assert list(experiment.rows) == [*default["compare"], "threshold"]
    assert list(experiment.networks) == default["compare"]
    for model in experiment.networks:
        built, original = experiment.settings["models"][model], default["models"][model]
        assert all(built.get(key) == original.get(key) for key in ("architecture", "encoder", "options")), model
        assert not experiment.encoder_weights(model), "nothing is fetched"


def test_the_default_file_says_what_the_schema_says():
    config, resolved = (
        read("config.yaml"),
        resolve_config({"models": read("config.yaml")["models"], "compare": ["unet"]}),
    )
    for section in ("preprocessing", "split", "seeds", "training", "evaluation", "figures"):
        assert config[section] == resolved[section], section
    assert config["dataset"]["root"] == resolved["dataset"]["root"]


def test_every_key_is_described_and_closed_to_typing_errors():
    schema = read_schema()
    entries = [*walk(schema), *walk(schema["$defs"]["phantom"]), *walk(schema["$defs"]["model"])]
    assert len(entries) > 40
    for path, rule in entries:
        assert rule.get("description"), path
        if "properties" in rule:
            assert rule["additionalProperties"] is False, path


def test_a_model_overrides_the_recipe_for_itself_alone():
    config = read("config.yaml")
    config["models"]["unet"]["training"] = {"learning_rate": 0.01}
    models = resolve_config(config)["models"]
    assert models["unet"]["training"] == {**models["unet_vgg19"]["training"], "learning_rate": 0.01}
    assert models["unet_vgg19"]["training"]["learning_rate"] == 0.0001


def test_the_order_of_keys_does_not_matter():
    config = read("config.yaml")
    turned = {key: dict(reversed(value.items())) if isinstance(value, dict) else value for key, value in config.items()}
    assert str(resolve_config(dict(reversed(turned.items())))) == str(resolve_config(config))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("training", {"learnig_rate": 1.0}, ["training.learnig_rate", "learning_rate: 0.0001"]),
        ("training", {"learning_rate": "fast"}, ["training.learning_rate", "is text", "learning_rate: 0.0001"]),
        ("training", {"learning_rate": float("nan")}, ["training.learning_rate: nan is not finite"]),
        ("training", {"batch_size": "2.5"}, ["training.batch_size", "2.5 is not of type 'integer'"]),
        ("training", {"patience": None}, ["training.patience: it is empty, or null.", "patience: 5"]),
        ("training", {"batch_size": 0}, ["training.batch_size", "minimum of 1", "batch_size: 8"]),
        (
            "models",
            {18: {"architecture": "classic-unet"}},
            ["models: YAML reads a key there as 18", "in quotes", "'18'"],
        ),
        ("models", {True: {"architecture": "classic-unet"}}, ["models: YAML reads a key there as true"]),
        ("models", {"unet": None}, ["models.unet: it needs one of architecture, predictions"]),
        ("compare", [18], ["compare.0: YAML reads 18 there, which is not text", "in quotes: '18'"]),
        ("compare", [], ["compare", "empty", "compare: [unet"]),
        ("compare", ["une"], ["compare: une", "Did you mean unet"]),
        ("compar", ["unet"], ["compar:", "Did you mean compare"]),
        ("models", {"unet": {"encoder": "resnet34"}}, ["models.unet", "architecture: classic-unet"]),
        (
            "models",
            {"unet": {"label": "U"}},
            ["models.unet: it needs one of architecture, predictions", "predictions: "],
        ),
        (
            "models",
            {"unet": {"architecture": "Unet", "predictions": "masks"}},
            [
                "models.unet: it needs one of architecture, predictions, members, method, command, and only one",
                "architecture: classic-unet",
            ],
        ),
        (
            "models",
            {"unet": {"predictions": "masks", "encoder": "vgg19"}},
            ["models.unet", "encoder would have no effect", "predictions: masks"],
        ),
        (
            "models",
            {"unet": {"architecture": "Unet", "encoder": "resnet34", "encoder_weights": ""}},
            ["models.unet.encoder_weights", "encoder_weights: imagenet"],
        ),
        ("models", {"unet": {"architecture": "Unet"}}, ["models.unet.encoder: Unet needs", "encoder: resnet34"]),
        (
            "models",
            {"unet": {"architecture": "classic-unet", "encoder_weights": "imagenet"}},
            ["models.unet.encoder: classic-unet has an encoder of its own", "Remove"],
        ),
        (
            "models",
            {"unet": {"architecture": "unetpluplus", "encoder": "resnet"}},
            [
                "models.unet.architecture: unetpluplus is unknown",
                "architecture: UnetPlusPlus",
                "models.unet.encoder: resnet is",
            ],
        ),
        (
            "models",
            {"unet": {"architecture": "classic-unet", "training": {"loss": "l2"}}},
            ["models.unet.training.loss"],
        ),
        ("preprocessing", {"plane": "axail"}, ["preprocessing.plane", "axial", "plane: coronal"]),
        ("preprocessing", {"hu_window": [1000, -1000]}, ["preprocessing.hu_window", "hu_window: [-1000, 1000]"]),
        ("dataset", {"phantom": {"studes": 3}}, ["dataset.phantom.studes", "studies: 14"]),
        ("seeds", 0, ["seeds", "seeds: [0]"]),
        ("figures", {"slices": "atuo"}, ["figures.slices", "slices: auto"]),
        ("evaluation", {"threshold": float("nan")}, ["evaluation.threshold: nan is not", "threshold: 0.5"]),
        ("seeds", [2**64], ["seeds.0", "maximum of 18446744073709551615"]),
        ("training", {"learning_rate": float("inf")}, ["learning_rate: inf is not", "learning_rate: 0.0001"]),
        ("evaluation", {"threshold": 1}, ["evaluation.threshold", "threshold: 0.5"]),
    ],
)
def test_a_mistake_is_named_with_the_right_line(key, value, said):
    config = {"models": {"unet": {"architecture": "classic-unet"}}, "compare": ["unet"]}
    with pytest.raises(UserError) as error:
        resolve_config({**config, key: value})
    for text in said:
        assert text in str(error.value)


def test_an_empty_section_means_its_defaults():
    config = {"models": {"unet": {"architecture": "classic-unet", "training": None}}, "compare": ["unet"]}
    empty = dict.fromkeys(["training", "dataset", "split", "evaluation", "figures", "pathvars"])
    assert resolve_config({**config, **empty}) == resolve_config(config)


def test_the_command_line_sets_the_same_experiment_as_a_file():
    typed = {
        "training": {"max_epochs": "5", "learning_rate": "1e-4", "augmentation": "true"},
        "split": {"folds": "5.0", "file": "null", "ratio": ["7", "1", "2.5"]},
        "dataset": {"phantom": {"studies": "6", "slices": ["6", "8"]}},
        "seeds": ["0", "1"],
        "models": {"unet": {"architecture": "Unet", "encoder": "resnet34", "encoder_weights": "null"}},
        "compare": ["unet"],
    }
    meant = {
        "training": {"max_epochs": 5, "learning_rate": 0.0001, "augmentation": True},
        "split": {"folds": 5, "file": None, "ratio": [7, 1, 2.5]},
        "dataset": {"phantom": {"studies": 6, "slices": [6, 8]}},
        "seeds": [0, 1],
        "models": {"unet": {"architecture": "Unet", "encoder": "resnet34", "encoder_weights": None}},
        "compare": ["unet"],
    }
    assert repr(resolve_config(typed)) == repr(resolve_config(meant))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([" \u200b\n", "B"], "models.a.label: nothing of it can be seen"),
        (["A\x07", "B"], "models.a.label: 'A\\x07' holds control characters"),
        (["Our  net\n", "Our net"], "models.b.label: tables and figures call a Our net as well"),
        (["b", None], "models.b.label: tables and figures call a b as well"),
    ],
)
def test_a_label_can_be_seen_and_is_of_one_model(labels, said):
    models = {name: {"architecture": "classic-unet", "label": label} for name, label in zip("ab", labels, strict=True)}
    models = {name: {key: value for key, value in model.items() if value} for name, model in models.items()}
    with pytest.raises(UserError) as error:
        resolve_config({"models": models, "compare": ["a", "b"]})
    assert str(error.value).startswith(said)
    assert "Write, for example:\n  label: " in str(error.value)


def test_a_name_that_cannot_be_part_of_a_path_is_refused_with_what_can():
    with pytest.raises(UserError, match=r"models: 'a/b' cannot be a name\. .*Use letters, digits"):
        resolve_config({"models": {"a/b": {"architecture": "classic-unet"}}, "compare": ["a/b"]})


def test_all_mistakes_are_told_at_once():
    with pytest.raises(UserError, match=r"(?s)evaluation\.threshold.*seeds"):
        resolve_config({"compare": ["a"], "seeds": [], "evaluation": {"threshold": 2}})


def test_the_settings_of_a_data_set_do_not_depend_on_the_rest():
    settings = dataset_settings({"dataset": {"root": "scans"}, "compare": [], "models": {"a": {}}, "seeds": "x"})
    assert settings["dataset"]["root"] == "scans" and settings["dataset"]["phantom"] is None
    assert settings["pathvars"] == dataset_settings({})["pathvars"]
    with pytest.raises(UserError, match=r"dataset\.rot.*Did you mean root"):
        dataset_settings({"dataset": {"rot": "scans"}})


def test_the_smallest_lesion_in_voxels_of_older_configurations_is_pointed_to_the_volume():
    with pytest.raises(UserError, match=r"min_lesion_voxels: there is no such key\. Did you mean min_lesion_mm3\?"):
        resolve_config(merged(read("config.yaml"), {"evaluation": {"min_lesion_voxels": 10}}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"models": {"unet": {"mirroring": True}}},
            "models.unet.mirroring: there is no such key. Did you mean models.unet.evaluation.mirroring?\n"
            "  evaluation: {mirroring: …}",
        ),
        ({"max_epochs": 9}, "max_epochs: there is no such key. Did you mean training.max_epochs?"),
        (
            {"models": {"unet": {"training": {"encoder": "vgg19"}}}},
            "models.unet.training.encoder: there is no such key. Did you mean models.unet.encoder?\n  encoder: resnet",
        ),
        (
            {"dataset": {"annotated": 9}},
            "dataset.annotated: there is no such key. Did you mean dataset.phantom.annotated?",
        ),
        ({"dataset": {"seeds": [1]}}, "dataset.seeds: there is no such key. Did you mean seeds?"),
        ({"models": {"unet": {"trainin": {}}}}, "models.unet.trainin: there is no such key. Did you mean training?"),
    ],
)
def test_a_key_at_the_wrong_level_is_pointed_to_the_right_one(given, said):
    with pytest.raises(UserError) as caught:
        resolve_config(merged(read("config.yaml"), given))
    assert said in str(caught.value)


def test_an_empty_section_of_an_overlay_leaves_what_the_other_files_say(tmp_path):
    base, overlay = tmp_path / "base.yaml", tmp_path / "overlay.yaml"
    base.write_text(
        "training: {patience: 3, batch_size: 4}\nmodels: {a: {label: A, options: {x: 1}}}\nsplit: {seed: 5}\n"
    )
    overlay.write_text("training:\n#  batch_size: 2\nmodels: {a: {options: {y: 2}}}\nreference_results:\n")
    config = {"training": None, "models": None, "seeds": None, "reference_results": None}
    fill_empty_sections(config, [base, overlay])
    assert config == {
        "training": {"patience": 3, "batch_size": 4},
        "models": {"a": {"label": "A", "options": {"x": 1, "y": 2}}},
        "seeds": None,
        "reference_results": None,
    }


def test_a_model_mirrors_as_the_experiment_does_unless_it_says_otherwise():
    other = {"architecture": "classic-unet", "evaluation": {"mirroring": False}}
    models = {"unet": {"architecture": "classic-unet"}, "other": other}
    config = {"models": models, "compare": ["unet", "other"], "evaluation": {"mirroring": True}}
    resolved = resolve_config(config)["models"]
    assert [resolved[model]["evaluation"]["mirroring"] for model in ("unet", "other")] == [True, False]


def test_a_warmup_that_outlasts_the_training_is_an_error():
    model = {"architecture": "classic-unet", "training": {"max_epochs": 20}}
    config = {"models": {"unet": model}, "compare": ["unet"], "training": {"warmup_epochs": 20, "max_epochs": 50}}
    with pytest.raises(
        UserError, match=r"models\.unet: training\.warmup_epochs is 20.*20 epochs(?s:.*)warmup_epochs: 2"
    ):
        resolve_config(config)


@pytest.mark.parametrize("given", ["none", "light", "strong", "true", False])
def test_augmentation_is_a_strength_or_a_boolean(given):
    config = {"models": {"unet": {"architecture": "classic-unet"}}, "compare": ["unet"]}
    assert resolve_config(config | {"training": {"augmentation": given}})
    with pytest.raises(UserError, match=r"training\.augmentation"):
        resolve_config(config | {"training": {"augmentation": "much"}})


def resolved_method(**entry):
    return resolve_config({"models": {"other": entry}, "compare": ["other"]})["models"]["other"]


def test_the_options_of_a_method_are_completed_and_those_of_a_command_are_as_they_are():
    options = resolved_method(method="nnunet", options={"epochs": "50"})["options"]
    assert options == {"configuration": "2d", "epochs": 50, "iterations": 250, "mirroring": True}
    assert resolved_method(command="my-tool", options={"a": [1]})["options"] == {"a": [1]}
    assert resolved_method(command=["my-tool"])["options"] == {}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"method": "nnunett"}, ["models.other.method: there is no method nnunett", "Did you mean nnunet?"]),
        ({"method": "nnunet", "options": {"epoch": 3}}, ["models.other.options.epoch: there is", "epochs: 1000"]),
        ({"method": "nnunet", "options": {"epochs": 0}}, ["models.other.options.epochs: 0 is less"]),
        ({"method": "nnunet", "options": {"configuration": 4}}, ["options.configuration", "configuration: 2d"]),
        ({"method": "empty", "options": {"epochs": 1}}, ["models.other.options.epochs: there is no such key"]),
        ({"method": "empty", "training": {"loss": "dice"}}, ["models.other: an external method trains by itself"]),
        ({"method": "empty", "gpu": True}, ["so gpu would have no effect"]),
        ({"command": "tool 'x"}, ["models.other.command: No closing quotation"]),
        ({"command": []}, ["models.other.command: the list is empty"]),
        ({"command": ["tool", 3]}, ["models.other.command.1: YAML reads 3 there, which is not text"]),
        ({"command": "tool", "encoder": "resnet34"}, ["so encoder would have no effect", "command: tool"]),
    ],
)  # fmt: skip
def test_a_mistake_in_an_external_method_is_named_with_the_right_line(entry, said):
    with pytest.raises(UserError) as error:
        resolved_method(**entry)
    for text in said:
        assert text in str(error.value)


def test_what_was_resolved_is_checked_again_without_looking_for_networks_and_files():
    resolved = resolve_config(read("config.yaml"))
    assert check_resolved(resolved) == resolved
    resolved["models"]["unet"]["architecture"] = "on_another_machine.py:Net"
    assert check_resolved(resolved)["models"]["unet"]["architecture"] == "on_another_machine.py:Net"
    resolved["evaluation"]["resamples"] = 1
    with pytest.raises(UserError, match=r"evaluation.resamples"):
        check_resolved(resolved)
