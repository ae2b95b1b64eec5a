"""What docs/extend.md says, done: each piece of code there is put where it belongs, and the workflow uses it."""

import re

import pandas as pd
import pytest

from checkout import TINY, copy_checkout

LIBRARY = "workflow/scripts/lesionbench"
PIECE = re.compile(r"<!-- into: (?:(\w+) in )?(\S+) -->\n```python\n(.*?)```", flags=re.DOTALL)
RESULTS = "results/tiny"


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
    for collection, name, code in pieces:
        put(checkout.folder / LIBRARY / name, collection or None, code)
    schema = checkout.folder / "workflow" / "schemas" / "config.schema.yaml"
    schema.write_text(schema.read_text().replace("enum: [dice, dice_ce]", "enum: [dice, dice_ce, tversky]"))
    recipe = {"models": {"small": {"training": {"loss": "tversky"}}}}
    targets = [f"{RESULTS}/figures/dice_by_volume.png", f"{RESULTS}/tables/metrics.csv"]
    checkout.snakemake(*targets, config=recipe)
    return checkout


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
