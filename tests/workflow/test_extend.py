"""What docs/extend.md says, done: each piece of code there is put where it belongs, and the workflow uses it."""

import json
import re
import subprocess
import sys

import nibabel as nib
import pandas as pd
import pytest
import yaml

from checkout import TINY, copy_checkout, merged

LIBRARY = "workflow/scripts/lesionbench"
PIECE = re.compile(r"<!-- into: (?:(\w+) in )?(\S+) -->\n```python\n(.*?)```", flags=re.DOTALL)
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", flags=re.DOTALL)
RESULTS = "results/tiny"
RUN = f"{RESULTS}/models/residual/fold-0/seed-0"


def put(path, collection, code):
    """Append code to a file, or as the last entries of a collection in it."""
    text = path.read_text()
    if collection is None:
        path.write_text(f"{text}\n\n{code}")
        return
    start = text.index(f"\n{collection}")
    end = re.compile(r"^ *\)$", flags=re.MULTILINE).search(text, start).start()
    path.write_text(text[:end] + code + text[end:])


@pytest.fixture(scope="module")
def extended(repository, tmp_path_factory):
    """A checkout with all that docs/extend.md adds, and its results."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("extended"))
    pieces = PIECE.findall((repository / "docs" / "extend.md").read_text())
    assert len(pieces) == 4
    files = dict(FILE.findall((repository / "docs" / "extend.md").read_text()))
    assert list(files) == ["mine/blocks.py", "mine/residual.py", "mine/experiment.yaml"]
    for name, text in files.items():
        (checkout.folder / name).parent.mkdir(exist_ok=True)
        (checkout.folder / name).write_text(text)
    for collection, name, code in pieces:
        put(checkout.folder / LIBRARY / name, collection or None, code)
    schema = checkout.folder / "workflow" / "schemas" / "config.schema.yaml"
    schema.write_text(schema.read_text().replace("enum: [dice, dice_ce]", "enum: [dice, dice_ce, tversky]"))
    targets = [f"{RESULTS}/figures/dice_by_volume.png", f"{RESULTS}/tables/metrics.csv", f"{RESULTS}/tables/cost.csv"]
    checkout.snakemake(*targets, config=with_own(checkout))
    return checkout


def with_own(checkout, **changes):
    """The experiment with the new loss and the network of docs/extend.md, from the working directory."""
    own = yaml.safe_load((checkout.folder / "mine" / "experiment.yaml").read_text())["models"]["residual"]
    own |= {"architecture": f"mine/{own['architecture']}", "training": {"deep_supervision": True}}
    models = {"small": {"training": {"loss": "tversky"}}, "residual": own}
    return merged({"models": models, "compare": ["small", "residual"]}, changes)


def history(checkout, model):
    return pd.read_csv(checkout.folder / RESULTS / "models" / model / "fold-0" / "seed-0" / "history.csv")


def test_a_model_is_trained_with_the_new_loss(extended):
    assert 0 < history(extended, "small")["train_loss"].iloc[0] < 1
    log = extended.folder / "logs" / "tiny" / "train" / "small" / "fold-0" / "seed-0.log"
    assert "epoch 1/1" in log.read_text()


def test_the_new_metric_is_in_files_and_tables(extended):
    scores = pd.read_csv(extended.folder / RESULTS / "metrics" / "small" / "fold-0" / "seed-0" / "studies.csv")
    assert scores["volume_ratio"].to_numpy() == pytest.approx(scores["predicted_ml"] / scores["reference_ml"])
    assert "Volume ratio" in (extended.folder / RESULTS / "tables" / "metrics.md").read_text()


def test_the_new_figure_is_drawn_and_belongs_to_the_whole(extended):
    assert (extended.folder / RESULTS / "figures" / "dice_by_volume.png").stat().st_size > 2000
    assert TINY["figures"]["formats"] == ["png"]
    plotted = extended.snakemake("--dry-run", "--forceall", f"{RESULTS}/figures/dice_by_volume.png")
    assert "Drawing dice_by_volume" in plotted


def test_a_network_of_ones_own_is_trained_predicted_scored_and_recorded(extended):
    assert 0 < history(extended, "residual")["train_loss"].iloc[0] < 1
    assert list((extended.folder / RESULTS / "predictions" / "residual" / "fold-0" / "seed-0").glob("*.nii.gz"))
    scores = pd.read_csv(extended.folder / RESULTS / "tables" / "metrics.csv")
    assert scores["label"].tolist()[1] == "Residual network"
    record = json.loads((extended.folder / RUN / "run.json").read_text())
    assert record["model"]["architecture"] == "mine/residual.py:ResidualNet"
    assert list(record["model_code"]["files"]) == ["blocks.py", "residual.py"]
    checks = json.loads((extended.folder / RESULTS / "checks" / "models.json").read_text())
    assert checks["residual"]["stride"] == 4
    cost = pd.read_csv(extended.folder / RESULTS / "tables" / "cost.csv").set_index("model")
    assert cost.loc["residual", "gmacs"] > 0 and cost.loc["residual", "parameters"] == checks["residual"]["parameters"]


@pytest.mark.parametrize(
    ("old", "new", "due"),
    [
        ("(features + self.change(features)).relu()", "features + self.change(features).relu()", True),
        ("Blocks of networks.", "Some blocks.", False),
    ],
)
def test_code_that_its_file_imports_trains_it_again_and_a_docstring_does_not(extended, old, new, due):
    blocks = extended.folder / "mine" / "blocks.py"
    before = blocks.read_text()
    assert old in before
    blocks.write_text(before.replace(old, new))
    try:
        jobs = extended.would_run(**with_own(extended))
    finally:
        blocks.write_text(before)
    assert [jobs.get(rule, 0) for rule in ("try_models", "train", "predict", "preprocess")] == [due, due, due, 0]


def test_its_file_is_found_beside_the_configuration_that_names_it(extended):
    mine = extended.folder / "mine" / "experiment.yaml"
    before = mine.read_text()
    mine.write_text(before + "compare: [residual]\n")
    try:
        output = extended.snakemake("--dry-run", "--configfile", "overlay.yaml", "mine/experiment.yaml")
    finally:
        mine.write_text(before)
    assert "Training residual, fold 0" in output or "Nothing to be done" in output, output


def segment(checkout, *arguments):
    scan = next((checkout.folder / RESULTS / "phantom" / "studies").rglob("*.nii.gz"))
    command = [sys.executable, "-m", "lesionbench", "segment", str(scan), "mask.nii.gz", "--run", RUN, *arguments]
    environment = {"PYTHONPATH": str(checkout.folder / "workflow" / "scripts"), "PATH": "/usr/bin:/bin"}
    return scan, subprocess.run(command, cwd=checkout.folder, env=environment, capture_output=True, text=True)


def test_segment_executes_its_code_only_where_the_user_says_so(extended):
    scan, refused = segment(extended)
    assert refused.returncode == 1 and not (extended.folder / "mask.nii.gz").exists()
    assert refused.stderr.endswith("\n  --code mine/residual.py\n") and "Traceback" not in refused.stderr
    done = segment(extended, "--code", "mine/residual.py")[1]
    assert done.returncode == 0, done.stderr
    assert nib.load(extended.folder / "mask.nii.gz").shape == nib.load(scan).shape


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("architecture: mine/none.py:Net", "models.residual.architecture: there is no file mine/none.py"),
        ("architecture: mine/residual.py:Other", "mine/residual.py has no class Other"),
        ("options: {widht: 2}", "takes no widht. Did you mean width?"),
        ("encoder: resnet34", "is a class of its own. Remove `encoder`"),
    ],
)
def test_what_is_wrong_with_its_entry_is_told_while_parsing(extended, line, said):
    output = extended.snakemake(
        "--dry-run", config=with_own(extended, models={"residual": yaml.safe_load(line)}), check=False
    )
    assert said in output and "Traceback" not in output
