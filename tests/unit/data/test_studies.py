from dataclasses import replace

import pytest

from lesionbench.data.studies import (
    Phantom,
    Study,
    find_prediction,
    find_predictions,
    find_registry,
    find_studies,
    pair_studies,
    phantom_studies,
)
from lesionbench.errors import UserError

PHANTOM = Phantom(studies=14, annotated=10, size=64, slices=[16, 22], seed=0)


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_studies_are_read_from_the_file_names(tmp_path):
    touch(
        tmp_path,
        "studies/CT-1/study_0002.nii.gz",
        "studies/CT-0/study_0001.nii.gz",
        "masks/study_0002_mask.nii.gz",
        "masks/study_0003_mask.nii.gz",
        "studies/CT-0/._study_0001.nii.gz",
        "masks/._study_0002_mask.nii.gz",
        "studies/CT-1/notes.txt",
    )
    assert find_studies(tmp_path) == [
        Study("study_0001", "CT-0", tmp_path / "studies/CT-0/study_0001.nii.gz", None),
        Study(
            "study_0002",
            "CT-1",
            tmp_path / "studies/CT-1/study_0002.nii.gz",
            tmp_path / "masks/study_0002_mask.nii.gz",
        ),
        Study("study_0003", None, None, tmp_path / "masks/study_0003_mask.nii.gz"),
    ]


@pytest.mark.parametrize("suffix", [".nii", ".NII", ".nii.gz", ".NII.GZ", ".Nii.gz"])
def test_suffixes_are_read_in_any_case_of_letters(tmp_path, suffix):
    touch(tmp_path, f"studies/CT-1/study_0001{suffix}", f"masks/study_0001_mask{suffix}")
    ct, mask = tmp_path / f"studies/CT-1/study_0001{suffix}", tmp_path / f"masks/study_0001_mask{suffix}"
    assert find_studies(tmp_path) == pair_studies([ct], [mask]) == [Study("study_0001", "CT-1", ct, mask)]


def test_a_whole_data_set_in_capital_letters_is_read(tmp_path):
    touch(tmp_path, "studies/CT-1/STUDY_1.NII.GZ", "masks/STUDY_1_MASK.NII.GZ")
    (study,) = find_studies(tmp_path)
    assert study.name == "STUDY_1" and study.ct and study.mask


@pytest.mark.parametrize("kind", ["studies/CT-1/study_0001", "masks/study_0001_mask"])
@pytest.mark.parametrize("suffix", [".nii", ".NII.GZ"])
def test_two_files_for_one_study_are_named(tmp_path, kind, suffix):
    touch(tmp_path, f"{kind}.nii.gz", f"{kind}{suffix}")
    with pytest.raises(UserError, match="two files for one study") as error:
        find_studies(tmp_path)
    assert f"{tmp_path}/{kind}.nii.gz" in str(error.value) and f"{tmp_path}/{kind}{suffix}" in str(error.value)


@pytest.mark.parametrize(
    "link", ["dataset_registry.xlsx", "studies/CT-2", "studies/CT-1/study_0002.nii.gz", "masks/study_0001_mask.nii.gz"]
)
def test_a_link_to_nothing_is_named(tmp_path, link):
    touch(tmp_path, "studies/CT-1/study_0001.nii.gz", "masks/study_0003_mask.nii.gz")
    (tmp_path / link).symlink_to(tmp_path / "annex" / "not-fetched")
    with pytest.raises(UserError, match=f"dataset.root: 1 of the links there .*{link}.*datalad get"):
        find_studies(tmp_path)


def test_a_whole_data_set_of_links_to_nothing_is_counted(tmp_path):
    touch(tmp_path, "studies/CT-1/study_0001.nii.gz")
    for number in range(2, 9):
        (tmp_path / "studies" / "CT-1" / f"study_000{number}.nii.gz").symlink_to("../../annex/not-fetched")
    with pytest.raises(UserError, match=r"7 of the links .*study_0002.*study_0004\.nii\.gz …"):
        find_studies(tmp_path)


def test_linked_folders_are_followed(tmp_path):
    touch(tmp_path, "elsewhere/study_0001.nii.gz", "data/masks/study_0001_mask.nii.gz")
    (tmp_path / "data" / "studies").mkdir()
    (tmp_path / "data" / "studies" / "CT-1").symlink_to(tmp_path / "elsewhere")
    assert [study.category for study in find_studies(tmp_path / "data")] == ["CT-1"]


@pytest.mark.parametrize("exists", [False, True])
def test_without_data_the_error_says_where_to_get_it(tmp_path, exists):
    root = tmp_path / "data"
    if exists:
        touch(root, "studies/CT-1/readme.txt")
    with pytest.raises(UserError) as error:
        find_studies(root)
    problem = "has neither" if exists else "does not exist"
    for part in (problem, "https://mosmed.ai/datasets/covid19_1110", f"{root}/studies/CT-1/study_0255", "make demo"):
        assert part in str(error.value)


def test_an_archive_unpacked_one_folder_too_deep_is_pointed_at(tmp_path):
    touch(tmp_path, "COVID19_1110/studies/CT-1/study_0001.nii.gz")
    with pytest.raises(UserError, match=f"There is one in {tmp_path}/COVID19_1110: set dataset.root"):
        find_studies(tmp_path)


def test_a_study_in_two_classes_is_refused(tmp_path):
    touch(tmp_path, "studies/CT-1/study_0001.nii.gz", "studies/CT-2/study_0001.nii.gz")
    with pytest.raises(UserError, match=r"CT-1/study_0001\.nii\.gz and .*CT-2/study_0001\.nii\.gz"):
        find_studies(tmp_path)


@pytest.mark.parametrize(
    "stray",
    [
        "studies/study_0002.nii.gz",
        "studies/CT-5/study_0002.nii.gz",
        "studies/s.NII",
        "masks/study_0001.nii.gz",
        "masks/a.nii",
    ],
)
def test_a_file_out_of_place_is_named_and_not_skipped(tmp_path, stray):
    touch(tmp_path, "studies/CT-1/study_0001.nii.gz", stray)
    with pytest.raises(UserError, match=stray):
        find_studies(tmp_path)


def test_the_registry_is_csv_or_xlsx_or_not_there(tmp_path):
    assert find_registry(tmp_path) is None
    touch(tmp_path, "dataset_registry.xlsx")
    assert find_registry(tmp_path).suffix == ".xlsx"
    touch(tmp_path, "dataset_registry.csv")
    assert find_registry(tmp_path).suffix == ".csv"


def test_phantom_studies_have_all_classes_and_the_asked_number_of_masks(tmp_path):
    studies = phantom_studies(tmp_path, PHANTOM)
    assert len({study.name for study in studies}) == len(studies) == 14
    assert {study.category for study in studies} == {"CT-0", "CT-1", "CT-2", "CT-3", "CT-4"}
    assert [study.category for study in studies if study.mask] == ["CT-1"] * 10
    assert all(study.ct.parent.name == study.category for study in studies)


def test_a_category_is_that_of_the_annotated_phantom_studies_alone(tmp_path):
    default = phantom_studies(tmp_path, PHANTOM)
    for category in ("CT-1", "CT-3"):
        studies = phantom_studies(tmp_path, replace(PHANTOM, category=category))
        assert [study.category for study in studies if study.mask] == [category] * 10
        assert studies[10:] == default[10:]
    assert phantom_studies(tmp_path, replace(PHANTOM, category="CT-1")) == default


@pytest.mark.parametrize(("change", "key"), [({"annotated": 15}, "annotated"), ({"slices": [22, 16]}, "slices")])
def test_impossible_phantoms_are_refused(tmp_path, change, key):
    with pytest.raises(UserError, match=f"dataset.phantom: {key}"):
        phantom_studies(tmp_path, replace(PHANTOM, **change))


def test_a_prediction_is_named_as_its_study_or_as_a_reference_mask(tmp_path):
    assert find_prediction(tmp_path, "study_0001") == tmp_path / "study_0001.nii.gz"
    touch(tmp_path, "study_0001_mask.nii.gz", "study_0002_mask.nii.gz", "study_0002.nii.gz")
    assert find_prediction(tmp_path, "study_0001") == tmp_path / "study_0001_mask.nii.gz"
    assert find_prediction(tmp_path, "study_0002") == tmp_path / "study_0002.nii.gz"


@pytest.mark.parametrize("name", ["study_1.nii", "study_1.NII.GZ", "study_1_mask.nii", "study_1_MASK.Nii.Gz"])
def test_a_prediction_may_have_any_suffix_that_is_read(tmp_path, name):
    touch(tmp_path, name, f"._{name}", "study_10.nii.gz", "study_1.txt", "study_1.nrrd")
    assert find_prediction(tmp_path, "study_1") == tmp_path / name


def test_predictions_are_found_in_the_order_of_the_studies(tmp_path):
    touch(tmp_path, "a.nii", "b.nii.gz")
    assert list(find_predictions(tmp_path, ["c", "b", "a"]).items()) == [
        ("c", tmp_path / "c.nii.gz"),
        ("b", tmp_path / "b.nii.gz"),
        ("a", tmp_path / "a.nii"),
    ]
    assert find_predictions(tmp_path / "none", ["a"]) == {"a": tmp_path / "none" / "a.nii.gz"}


def test_two_predictions_of_one_study_are_named(tmp_path):
    touch(tmp_path, "study_1.nii", "study_1.nii.gz", "study_2.nii.gz")
    assert find_prediction(tmp_path, "study_2") == tmp_path / "study_2.nii.gz"
    with pytest.raises(UserError, match=r"study_1\.nii and .*study_1\.nii\.gz: two files"):
        find_prediction(tmp_path, "study_1")
