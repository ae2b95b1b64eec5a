from dataclasses import asdict

import pytest

from lesionbench.data.reading import Reading, is_scan, scan_stem
from lesionbench.experiment.config import read_schema


def test_the_configuration_has_its_keys_and_defaults():
    rules = read_schema()["properties"]["dataset"]["properties"]
    defaults = asdict(Reading())
    assert {name: rules[name]["default"] for name in defaults} == defaults


def test_a_window_is_the_hu_of_black_and_white():
    assert Reading(intensity={"window": [-500, 1500]}).window == (-1250, 250)
    assert Reading().window is None


def test_predictions_are_read_as_the_data_set_but_for_their_labels():
    reading = Reading(lesion_labels=[2, 3], geometry="qform")
    assert reading.predicted == Reading(geometry="qform") and reading.predicted.lesion_labels is None


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a/study.nii", "study"),
        ("study.1.NII.GZ", "study.1"),
        ("study.Nrrd", "study"),
        ("study.nhdr", "study"),
        ("study.mha", "study"),
        ("study.MHD", "study"),
        ("CASE_0000", None),
        ("study.nii.txt", None),
        ("study.dcm", None),
    ],
)
def test_a_volume_is_known_by_its_name_in_any_case_of_letters(name, stem):
    assert is_scan(name) == (stem is not None)
    assert scan_stem(name) == (stem or name)
