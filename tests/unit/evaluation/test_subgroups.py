"""Studies are grouped by volume, category and slice spacing, and none is lost or counted twice."""

import math
from itertools import chain, pairwise

import numpy as np
import pytest

from lesionbench.evaluation.subgroups import axial_spacing, study_groups, subgroup_means
from scored import INVENTORY, LABELS, compared


def test_thirds_are_of_volume_and_hold_every_study_once():
    comparison = compared()
    volumes = comparison.scores["reference_ml"]["unet"]
    thirds = list(study_groups(comparison, INVENTORY)["Lesion volume"].values())
    assert sorted(len(third) for third in thirds) == [3, 3, 4]
    assert sorted(chain(*thirds)) == volumes.index.tolist()
    assert all(volumes[one].max() < volumes[other].min() for one, other in pairwise(thirds))


def test_the_name_of_a_third_has_its_smallest_and_largest_volume():
    comparison = compared(studies=3)
    volumes = sorted(comparison.scores["reference_ml"]["unet"])
    assert list(study_groups(comparison, INVENTORY)["Lesion volume"]) == [f"{v:.3g} ml" for v in volumes]
    comparison = compared(studies=6)
    comparison.scores["reference_ml"].loc[:] = np.array([[1, 2, 3, 4, 1000, 2000]]).T
    assert list(study_groups(comparison, INVENTORY)["Lesion volume"]) == ["1–2 ml", "3–4 ml", "1,000–2,000 ml"]


def test_thirds_of_one_volume_are_one_group():
    comparison = compared()
    comparison.scores["reference_ml"].loc[:] = 5.0
    ((name, studies),) = study_groups(comparison, INVENTORY)["Lesion volume"].items()
    assert name == "5 ml" and len(studies) == 10


def test_studies_outside_the_declared_set_are_in_no_group():
    comparison = compared()
    comparison.scores["dice"].loc["study_0004", "unet"] = math.nan
    for groups in study_groups(comparison, INVENTORY).values():
        assert sum(map(len, groups.values())) == 9 and "study_0004" not in [*chain(*groups.values())]


def test_category_and_spacing_come_from_the_inventory():
    groups = study_groups(compared(), INVENTORY)
    assert {name: len(studies) for name, studies in groups["Category"].items()} == {"CT-1": 6, "CT-2": 4}
    sizes = {name: len(studies) for name, studies in groups["Slice spacing"].items()}
    assert sizes == {"up to 1.5 mm": 6, "over 5 mm": 4} and list(sizes) == ["up to 1.5 mm", "over 5 mm"]


def test_what_the_inventory_does_not_know_is_called_unknown():
    known = INVENTORY.assign(category=["CT-2"] * 3 + [np.nan] + [""] * 6, spacing_mm="", orientation="").head(9)
    groups = study_groups(compared(), known)
    assert {name: len(studies) for name, studies in groups["Category"].items()} == {"CT-2": 3, "unknown": 7}
    assert {name: len(studies) for name, studies in groups["Slice spacing"].items()} == {"unknown": 10}


@pytest.mark.parametrize(
    ("spacing", "orientation", "expected"),
    [
        ("0.7x0.8x5.0", "LAS", 5),
        ("5.0x0.8x0.7", "IPL", 5),
        ("1x2x3", "RSA", 2),
        ("", "", math.nan),
        (np.nan, "LAS", math.nan),
    ],
)
def test_slices_are_apart_along_the_body_whatever_the_order_of_axes(spacing, orientation, expected):
    assert axial_spacing(spacing, orientation) == pytest.approx(expected, nan_ok=True)


def test_means_are_of_the_studies_of_the_group():
    comparison = compared()
    means = subgroup_means(comparison, INVENTORY)
    assert len(means) == (3 + 2 + 2) * len(LABELS)
    row = means[(means["group"] == "CT-2") & (means["model"] == "unet_vgg19")].iloc[0]
    assert row["dice"] == pytest.approx(comparison.dice["unet_vgg19"].iloc[:4].mean()) and row["studies"] == 4
    for _, groups in means[means["model"] == "unet"].groupby("by"):
        weighted = (groups["dice"] * groups["studies"]).sum() / groups["studies"].sum()
        assert weighted == pytest.approx(comparison.dice["unet"].mean())
