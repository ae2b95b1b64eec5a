"""Scores depend on the settings of metrics, and on no other key of their section."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from lesionbench.data.volume import Volume
from lesionbench.evaluation.metrics import MaskPair, evaluate_study
from lesionbench.evaluation.scoring import Scoring

# A block of four voxels of 1 mm³ is no lesion at first, and so these are undefined or 0.
LESIONS = {"lesions_reference", "lesions_dropped", "lesions_found", "lesion_dice"}
LESIONS |= {f"lesion_{name}{strict}" for name in ("f1", "sq", "pq") for strict in ("", "_strict")}


def scores(scoring):
    """The scores of a block of four voxels whose prediction is moved by two, on a grid of 1 mm."""
    reference, prediction = np.zeros((2, 12, 1, 1), np.uint8)
    reference[2:6] = prediction[4:8] = 1
    pair = MaskPair(Volume(reference, np.eye(4)), Volume(prediction, np.eye(4)), "axial", scoring)
    return evaluate_study(pair)


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"threshold": 0.9, "resamples": 100}, set()),
        ({"surface_tolerance_mm": 1}, {"surface_dice"}),
        ({"min_lesion_mm3": 2}, LESIONS),
    ],
)
def test_a_setting_changes_the_scores_that_it_is_of(settings, changed):
    before, after = scores(Scoring()), scores(Scoring(**settings))
    assert {name for name in before if before[name] != pytest.approx(after[name], nan_ok=True)} == changed


def test_it_comes_from_a_jobs_parameters():
    scoring = Scoring(min_lesion_mm3=3)
    assert Scoring(**json.loads(json.dumps(asdict(scoring)))) == scoring
    with pytest.raises(TypeError, match="min_lesion_mm"):
        Scoring(min_lesion_mm=3)
