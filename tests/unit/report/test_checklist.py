"""The checklist says what the run knows, and leaves to the authors what only they can say."""

import dataclasses

import pandas as pd
import pytest

from lesionbench.experiment.config import resolve_config
from lesionbench.report.checklist import CLAIM, Facts, checklist
from lesionbench.report.tables import write_table
from scored import INVENTORY, LABELS, compared

RECORD = {
    "environment": {
        "lesionbench": "0.1.0",
        "python": "3.12.1",
        "git_commit": "abc123",
        "packages": {"torch": "2.9.0", "segmentation-models-pytorch": "0.5.0"},
    },
    "device": {"type": "cuda", "name": "Fast GPU"},
}


@pytest.fixture
def facts():
    models = {
        "unet": {"label": LABELS["unet"], "architecture": "classic-unet"},
        "unet_vgg19": {
            "label": LABELS["unet_vgg19"],
            "architecture": "Unet",
            "encoder": "vgg19",
            "encoder_weights": "imagenet",
        },
    }
    config = resolve_config({"models": models, "compare": list(LABELS), "seeds": [0, 1]})
    inventory = INVENTORY.assign(mask="m", ct_sha256="1", mask_sha256="2")
    fold = pd.DataFrame(
        {"study": [f"s{n}" for n in range(50)], "subset": ["train"] * 35 + ["validation"] * 5 + ["test"] * 10}
    )
    return Facts(config, LABELS, {}, compared(), inventory, [fold], [RECORD] * 4)


@pytest.fixture
def rows(facts):
    """A function that returns the rows of a checklist by item or topic, after a change of the facts."""

    def ask(**changes):
        data = checklist(dataclasses.replace(facts, **changes)).data
        return {row.item or row.topic: row for row in data.itertuples()}

    return ask


def test_all_items_of_claim_are_there_in_their_order(facts):
    data = checklist(facts).data
    assert data.loc[data["checklist"] == CLAIM, "item"].tolist() == [str(number) for number in range(1, 45)]
    assert (data["known"] + data["authors"] != "").all()


def test_what_the_run_knows_is_filled_in(rows):
    found = rows()
    assert found["19"].known == "holdout, seed 0: train 35, validation 5, test 10"
    assert found["23"].known == (
        "lesionbench 0.1.0, Python 3.12.1, torch 2.9.0, segmentation-models-pytorch 0.5.0; on Fast GPU"
    )
    assert "imagenet" in found["24"].known and "random" in found["24"].known
    assert found["13"].known == "Axial slices 1 to 8 mm apart"
    assert "abc123" in found["43"].known
    assert "2 seeds" in found["29"].known
    assert all(label in found["37"].known for label in LABELS.values())


@pytest.mark.parametrize("item", ["11", "16", "18", "36", "44"])
def test_readers_demographics_and_funding_are_left_to_the_authors(rows, item):
    assert rows()[item].known == "" and rows()[item].authors


def test_whether_patients_are_known_decides_what_is_said_of_the_split(rows, facts):
    assert rows()["20"].authors == "That no patient has two studies"
    assert rows(inventory=facts.inventory.assign(patient="p"))["20"].known.startswith("By patient")


def test_of_masks_from_elsewhere_the_authors_say_what_they_learned_from(rows):
    found = rows(elsewhere={"Other": "masks"})
    assert "Whether Other learned from any test study" in found["20"].authors
    assert "Other" in found["22"].authors


def test_parameters_of_the_metrics_are_those_of_the_configuration(rows):
    found = rows()
    assert "3 mm" in found["Boundaries"].known and "14 mm³" in found["Detection of lesions"].known


def test_it_is_written_in_every_format_and_its_sentences_are_broken(facts, tmp_path):
    write_table(checklist(facts), [tmp_path / f"checklist.{suffix}" for suffix in ("csv", "md", "tex", "html")])
    assert "white-space:normal" in (tmp_path / "checklist.html").read_text()
    assert r"\begin{longtable}" in (tmp_path / "checklist.tex").read_text()
    assert (tmp_path / "checklist.md").read_text().count("CLAIM 2024") == 2
