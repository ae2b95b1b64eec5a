"""What the rules ask of the studies of a data set."""

from pathlib import Path

from lesionbench.data.studies import DataSet, Study
from lesionbench.experiment.collection import Collection

SECTION = {"root": "data", "lesion_labels": [1, 2], "intensity": "hu", "geometry": "sform", "series": None}
STUDIES = [
    Study("a", "CT-1", Path("a.nii"), Path("a_mask.nii"), "anna"),
    Study("b", None, None, Path("b_mask.nii")),
    Study("c", None, Path("c"), None, series="Lung*", set="north"),
]
COLLECTION = Collection(DataSet("data"), {study.name: study for study in STUDIES}, SECTION)


def test_files_are_those_that_are_there_in_the_order_of_the_studies():
    assert COLLECTION.scans == ["a.nii", "c"] and COLLECTION.masks == ["a_mask.nii", "b_mask.nii"]
    assert (COLLECTION.ct("c"), COLLECTION.mask("b")) == ("c", "b_mask.nii")


def test_the_listing_says_of_each_study_what_its_files_do_not():
    assert COLLECTION.listing == [
        ["a", "CT-1", "anna", None, None, True, True],
        ["b", None, None, None, None, False, True],
        ["c", None, None, "Lung*", "north", True, False],
    ]


def test_patients_are_those_of_the_studies_with_a_mask():
    assert COLLECTION.patients == {"a": "anna", "b": "b"}


def test_files_are_read_as_the_section_says_but_for_the_series_of_a_study():
    reading = {key: SECTION[key] for key in ("lesion_labels", "intensity", "geometry", "series")}
    assert COLLECTION.reading() == COLLECTION.study_reading("a") == reading
    assert COLLECTION.study_reading("c") == reading | {"series": "Lung*"}
    assert COLLECTION.mask_reading == {"lesion_labels": [1, 2], "geometry": "sform"}
