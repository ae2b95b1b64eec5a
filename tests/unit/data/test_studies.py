from dataclasses import replace
from pathlib import Path

import pytest

from lesionbench.data.studies import (
    DataSet,
    Phantom,
    Study,
    find_prediction,
    find_predictions,
    find_registry,
    find_studies,
    phantom_studies,
    with_files,
)
from lesionbench.errors import UserError
from touched import touch

PHANTOM = Phantom(studies=14, annotated=10, size=64, slices=[16, 22], seed=0)


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
    assert find_studies(DataSet(tmp_path)) == [
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
    assert find_studies(DataSet(tmp_path)) == [Study("study_0001", "CT-1", ct, mask)]


def test_a_whole_data_set_in_capital_letters_is_read(tmp_path):
    touch(tmp_path, "studies/CT-1/STUDY_1.NII.GZ", "masks/STUDY_1_MASK.NII.GZ")
    (study,) = find_studies(DataSet(tmp_path))
    assert study.name == "STUDY_1" and study.ct and study.mask


@pytest.mark.parametrize("kind", ["studies/CT-1/study_0001", "masks/study_0001_mask"])
@pytest.mark.parametrize("suffix", [".nii", ".NII.GZ"])
def test_two_files_for_one_study_are_named(tmp_path, kind, suffix):
    touch(tmp_path, f"{kind}.nii.gz", f"{kind}{suffix}")
    with pytest.raises(UserError, match="two files for one study") as error:
        find_studies(DataSet(tmp_path))
    assert f"{tmp_path}/{kind}.nii.gz" in str(error.value) and f"{tmp_path}/{kind}{suffix}" in str(error.value)


@pytest.mark.parametrize(
    "link", ["dataset_registry.xlsx", "studies/CT-2", "studies/CT-1/study_0002.nii.gz", "masks/study_0001_mask.nii.gz"]
)
def test_a_link_to_nothing_is_named(tmp_path, link):
    touch(tmp_path, "studies/CT-1/study_0001.nii.gz", "masks/study_0003_mask.nii.gz")
    (tmp_path / link).symlink_to(tmp_path / "annex" / "not-fetched")
    with pytest.raises(UserError, match=f"dataset.root: 1 of the links there .*{link}.*datalad get"):
        find_studies(DataSet(tmp_path))


def test_a_whole_data_set_of_links_to_nothing_is_counted(tmp_path):
    touch(tmp_path, "studies/CT-1/study_0001.nii.gz")
    for number in range(2, 9):
        (tmp_path / "studies" / "CT-1" / f"study_000{number}.nii.gz").symlink_to("../../annex/not-fetched")
    with pytest.raises(UserError, match=r"7 of the links .*study_0002.*study_0004\.nii\.gz …"):
        find_studies(DataSet(tmp_path))


def test_linked_folders_are_followed(tmp_path):
    touch(tmp_path, "elsewhere/study_0001.nii.gz", "data/masks/study_0001_mask.nii.gz")
    (tmp_path / "data" / "studies").mkdir()
    (tmp_path / "data" / "studies" / "CT-1").symlink_to(tmp_path / "elsewhere")
    assert [study.category for study in find_studies(DataSet(tmp_path / "data"))] == ["CT-1"]


@pytest.mark.parametrize("exists", [False, True])
def test_without_data_the_error_says_where_to_get_it(tmp_path, exists):
    root = tmp_path / "data"
    if exists:
        touch(root, "studies/CT-1/readme.txt")
    with pytest.raises(UserError) as error:
        find_studies(DataSet(root))
    problem = "has neither" if exists else "does not exist"
    for part in (problem, "https://mosmed.ai/datasets/covid19_1110", f"{root}/studies/CT-1/study_0255", "make demo"):
        assert part in str(error.value)


def test_an_archive_unpacked_one_folder_too_deep_is_pointed_at(tmp_path):
    touch(tmp_path, "COVID19_1110/studies/CT-1/study_0001.nii.gz")
    with pytest.raises(UserError, match=f"There is one in {tmp_path}/COVID19_1110: set dataset.root"):
        find_studies(DataSet(tmp_path))


def test_a_study_in_two_classes_is_refused(tmp_path):
    touch(tmp_path, "studies/CT-1/study_0001.nii.gz", "studies/CT-2/study_0001.nii.gz")
    with pytest.raises(UserError, match=r"CT-1/study_0001\.nii\.gz and .*CT-2/study_0001\.nii\.gz"):
        find_studies(DataSet(tmp_path))


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
        find_studies(DataSet(tmp_path))


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


def dataset(root, ct="{study}_ct.nii.gz", mask="{study}_seg.nii.gz", **more):
    return DataSet(root, ct, mask, **more)


def test_studies_are_found_where_patterns_say(tmp_path):
    touch(tmp_path, "a_ct.nii.gz", "b_ct.nii", "b_seg.nii.gz", "._b_ct.nii.gz", ".DS_Store")
    assert find_studies(dataset(tmp_path)) == [
        Study("a", None, tmp_path / "a_ct.nii.gz", None),
        Study("b", None, tmp_path / "b_ct.nii", tmp_path / "b_seg.nii.gz"),
    ]


def test_a_study_that_is_called_by_a_date_gets_its_patients_name(tmp_path):
    touch(tmp_path, "p1/2020-01/ct.nii", "p2/2020-01/ct.nii", "p2/2020-01/mask.nii", "p2/p2-late/ct.nii")
    studies = find_studies(dataset(tmp_path, "{patient}/{study}/ct.nii", "{patient}/{study}/mask.nii"))
    assert [(study.name, study.patient, bool(study.mask)) for study in studies] == [
        ("p1_2020-01", "p1", False), ("p2-late", "p2", False), ("p2_2020-01", "p2", True),
    ]  # fmt: skip


def test_studies_of_several_sets_are_called_by_their_set_as_well(tmp_path):
    touch(tmp_path, *(f"{place}/{kind}/001.nii" for place in ("north", "south") for kind in ("ct", "mask")))
    studies = find_studies(dataset(tmp_path, "{set}/ct/{study}.nii", "{set}/mask/{study}.nii"))
    assert [(study.name, study.set, bool(study.mask)) for study in studies] == [
        ("north_001", "north", True), ("south_001", "south", True),
    ]  # fmt: skip


def test_a_mask_without_a_patient_in_its_path_is_that_of_the_study_of_its_name(tmp_path):
    touch(tmp_path, "p1/a.nii", "masks/a.nii")
    (study,) = find_studies(dataset(tmp_path, "{patient,p.}/{study}.nii", "masks/{study}.nii"))
    assert (study.name, study.patient, study.mask) == ("p1_a", "p1", tmp_path / "masks" / "a.nii")
    touch(tmp_path, "p2/a.nii")
    with pytest.raises(UserError, match=r"p1/a\.nii and .*p2/a\.nii: two files for one study"):
        find_studies(dataset(tmp_path, "{patient,p.}/{study}.nii", "masks/{study}.nii"))


@pytest.mark.parametrize(
    ("ct", "mask", "said"),
    [
        (
            "imagesTr/{study}.nii.gz",
            "labelsTr/{study}_x.nii.gz",
            ["dataset.mask: nothing below", "labelsTr/a.nii.gz", "\n  mask: labelsTr/{study}.nii.gz\n", "mask: null"],
        ),
        (
            "images/{study}.nii.gz",
            "labelsTr/{study}.nii.gz",
            [
                "dataset.ct: nothing below",
                "imagesTr/a_0000.nii.gz",
                "\n  ct: imagesTr/{study}_0000.nii.gz\n",
                "ct: null",
            ],
        ),
        (None, None, ["ct and mask are null"]),
    ],
)
def test_a_pattern_that_matches_nothing_is_answered_with_one_that_would(tmp_path, ct, mask, said):
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    with pytest.raises(UserError) as error:
        find_studies(dataset(tmp_path, ct, mask))
    assert all(text in str(error.value) for text in said)


def test_where_there_is_no_volume_or_no_folder_the_root_is_wrong(tmp_path):
    for root, said in [(tmp_path, "There is no volume at all"), (tmp_path / "none", "there is no folder")]:
        with pytest.raises(UserError, match=said):
            find_studies(dataset(root))


def test_masks_alone_are_studies_where_the_ct_is_null(tmp_path):
    touch(tmp_path, "a_seg.nii.gz")
    assert find_studies(dataset(tmp_path, None)) == [Study("a", None, None, tmp_path / "a_seg.nii.gz")]


def write_table(path, text):
    path.write_text(text)
    return path


def test_a_table_names_files_below_the_root_or_beside_itself(tmp_path):
    touch(tmp_path, "data/one.nii", "lists/two.mha", "lists/two_mask.mha", "lists/dicom/IM1")
    header = "study,ct,mask,patient,category,series"
    lines = "1,one.nii,,p,sick\n2,two.mha,two_mask.mha\n3,dicom,,,,lung\n"
    table = write_table(tmp_path / "lists" / "table.csv", f"{header}\n{lines}")
    lists = tmp_path / "lists"
    assert find_studies(DataSet(tmp_path / "data", table=table)) == [
        Study("1", "sick", tmp_path / "data" / "one.nii", None, "p"),
        Study("2", None, lists / "two.mha", lists / "two_mask.mha"),
        Study("3", None, lists / "dicom", None, series="lung"),
    ]


def test_a_table_adds_patients_to_what_patterns_find(tmp_path):
    touch(tmp_path, "a_ct.nii.gz", "a_seg.nii.gz", "b_ct.nii.gz")
    table = write_table(tmp_path / "table.csv", "study,patient,category\na,p,sick\nb,p,\nc,q,\n")
    studies = find_studies(dataset(tmp_path, table=table))
    assert [(study.name, study.patient, study.category) for study in studies] == [("a", "p", "sick"), ("b", "p", None)]
    table.write_text("study,patient\nA,p\n")
    with pytest.raises(UserError, match=r"has no line for a, b, which the patterns find\. Its studies are called A"):
        find_studies(dataset(tmp_path, table=table))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("a,,", "study 'a' has neither a CT nor a mask"),
        ("a,none.nii,", "its ct is not there: .*none.nii"),
        ("a,one.nii,\nb,one.nii,", "a and b have the same CT"),
        ("Case,one.nii,\ncase,two.nii,", "Case .* and case .* same files of results"),
        (".a,one.nii,", "'.a': no name of a study.*does not begin with a dot"),
        ("a/b,one.nii,", "'a/b': no name of a study"),
        ('"a\tb",one.nii,', "no name of a study"),
        (f"{'x' * 201},one.nii,", "no name of a study.*1 to 200 bytes"),
        (",one.nii,", "'': no name of a study"),
    ],
)
def test_lines_that_cannot_be_studies_are_refused(tmp_path, lines, said):
    touch(tmp_path, "one.nii", "two.nii")
    table = write_table(tmp_path / "table.csv", f"study,ct,mask\n{lines}\n")
    with pytest.raises(UserError, match=f"dataset.table: .*{said}"):
        find_studies(DataSet(tmp_path, table=table))


def test_names_that_differ_in_capitals_alone_are_refused(tmp_path):
    touch(tmp_path, "Case_ct.nii.gz", "case_ct.nii.gz", "x_seg.nii.gz")
    with pytest.raises(UserError, match=r"Case_ct\.nii\.gz.*case_ct\.nii\.gz.*capitals do not count"):
        find_studies(dataset(tmp_path))


def test_studies_are_put_together_again_from_what_a_job_is_told():
    known = [
        ["a", "CT-1", None, "2", True, False],
        ["b", None, "p", None, True, True],
        ["c", None, None, None, False, True],
    ]
    ct, mask = Path("x/a.nii"), Path("y/b.nii")
    assert with_files(known, [str(ct), "x/b.nii"], [str(mask), "y/c.nii"]) == [
        Study("a", "CT-1", ct, None, series="2"),
        Study("b", None, Path("x/b.nii"), mask, "p"),
        Study("c", None, None, Path("y/c.nii")),
    ]


def test_names_from_macos_are_composed_and_their_files_found(tmp_path):
    apart, composed = "Mu\u0308ller", "M\u00fcller"
    for path in (tmp_path / "studies/CT-1" / f"{apart}.nii.gz", tmp_path / "masks" / f"{composed}_mask.nii.gz"):
        path.parent.mkdir(parents=True)
        path.touch()
    (study,) = find_studies(DataSet(tmp_path))
    assert study.name == composed and study.ct.is_file() and study.mask.is_file()
    assert find_prediction(tmp_path / "studies/CT-1", composed) == study.ct
