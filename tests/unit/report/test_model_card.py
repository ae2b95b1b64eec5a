"""The Hub's own reader takes the metadata of a model card, scores and all."""

from dataclasses import asdict, replace

import pandas as pd
from huggingface_hub import ModelCard

from lesionbench.report.model_card import About, mean_scores, model_card
from tiny import MODEL, PREPROCESSING, RECIPE

RECORD = {
    "model": asdict(MODEL), "training": asdict(RECIPE), "preprocessing": asdict(PREPROCESSING), "parameters": 12345,
    "seed": 0, "fold": 0, "epochs": 9, "best_epoch": 4, "studies": {"train": 35, "validation": 5},
    "weights_sha256": "0" * 64, "environment": {"lesionbench": "1.0", "git_commit": None},
}  # fmt: skip
STUDIES = pd.DataFrame({"study": ["a", "b", "c"], "dice": [0.5, 0.6, None], "hd95_mm": [None] * 3, "other": 1})
ABOUT = About("apache-2.0", "My U-Net: a & b", ["owner/set", "owner/other"])


def test_the_hub_reads_license_task_and_data_sets():
    data = ModelCard(model_card(RECORD, ABOUT, [])).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "lesionbench", "image-segmentation")
    assert data.datasets == ["owner/set", "owner/other"] and "chest-ct" in data.tags and not data.eval_results


def test_the_hub_reads_the_scores_that_are_defined():
    scores = [mean_scores("Test studies", STUDIES), mean_scores("Elsewhere", STUDIES.head(1), external=True)]
    data = ModelCard(model_card(RECORD, ABOUT, scores)).data
    assert data.model_name == "My U-Net: a & b"
    found = [(one.dataset_name, one.metric_type, one.metric_value, one.metric_name) for one in data.eval_results]
    assert found == [
        ("Test studies", "dice", 0.55, "Dice, mean of 2 studies"),
        ("Elsewhere", "dice", 0.5, "Dice, mean of 1 study"),
    ]
    assert [one.dataset_type for one in data.eval_results] == ["owner/set", "Elsewhere"]


def test_a_model_without_data_sets_on_the_hub_has_a_card_too():
    data = ModelCard(model_card(RECORD, About("other", "x"), [mean_scores("Test studies", STUDIES)])).data
    assert data.datasets is None and data.eval_results[0].dataset_type == "chest-ct"


def test_the_card_says_what_the_network_sees():
    seen = replace(PREPROCESSING, neighbours=1, spacing=(0.8, 0.8), size=(384, 512))
    text = model_card(RECORD | {"preprocessing": asdict(seen)}, ABOUT, [], {"threshold": 0.3, "min_component_mm3": 5.0})
    assert "Axial slices, clipped to -1000 to 1000 HU and divided by 1000, with 1 on either side as channels" in text
    assert "resampled to 0.8 × 0.8 mm, cropped and padded to 384 × 512 pixels." in text
    assert "from a probability of 0.3 on, in components of 5.0 mm³" in text
    assert "For research only" in text and "35 studies to learn from" in text
