import subprocess
import sys

import pytest

from lesionbench.dataset import Study, find_prediction, find_registry, find_studies, phantom_studies
from lesionbench.errors import UserError

PHANTOM = {"studies": 14, "annotated": 10, "size": 64, "slices": [16, 22], "seed": 0}


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
    "stray", ["studies/study_0002.nii.gz", "studies/CT-5/study_0002.nii.gz", "masks/study_0001.nii.gz"]
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
        studies = phantom_studies(tmp_path, PHANTOM | {"category": category})
        assert [study.category for study in studies if study.mask] == [category] * 10
        assert studies[10:] == default[10:]
    assert phantom_studies(tmp_path, PHANTOM | {"category": "CT-1"}) == default


@pytest.mark.parametrize(("change", "key"), [({"annotated": 15}, "annotated"), ({"slices": [22, 16]}, "slices")])
def test_impossible_phantoms_are_refused(tmp_path, change, key):
    with pytest.raises(UserError, match=f"dataset.phantom: {key}"):
        phantom_studies(tmp_path, PHANTOM | change)


@pytest.mark.parametrize("module", ["dataset", "slurm", "split", "words"])
def test_modules_read_while_parsing_need_the_standard_library_alone(module, repository):
    code = f"import sys; import lesionbench.{module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-S", "-c", code]
    scripts = repository / "workflow" / "scripts"
    output = subprocess.run(command, cwd=scripts, capture_output=True, text=True, check=True).stdout
    assert set(output.split()) <= {*sys.stdlib_module_names, "__main__", "lesionbench"}


def test_a_prediction_is_named_as_its_study_or_as_a_reference_mask(tmp_path):
    assert find_prediction(tmp_path, "study_0001") == tmp_path / "study_0001.nii.gz"
    touch(tmp_path, "study_0001_mask.nii.gz", "study_0002_mask.nii.gz", "study_0002.nii.gz")
    assert find_prediction(tmp_path, "study_0001") == tmp_path / "study_0001_mask.nii.gz"
    assert find_prediction(tmp_path, "study_0002") == tmp_path / "study_0002.nii.gz"
