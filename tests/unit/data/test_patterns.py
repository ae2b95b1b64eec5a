import pytest

from lesionbench.data.patterns import Found, Pattern, quoted
from lesionbench.errors import UserError
from touched import touch


def found(root, text):
    return {(file.path.relative_to(root).as_posix(), *file[1:]) for file in Pattern(text, "dataset.ct").find(root)}


def test_wildcards_are_read_from_folders_and_names(tmp_path):
    touch(tmp_path, "CT-1/p1/a_b_ct.nii.gz", "CT-2/p2/c_ct.nii.gz", "CT-2/p2/c_seg.nii.gz", "CT-2/d_ct.nii.gz")
    assert found(tmp_path, "{category}/{patient}/{study}_ct.nii.gz") == {
        ("CT-1/p1/a_b_ct.nii.gz", "a_b", "CT-1", "p1", None),
        ("CT-2/p2/c_ct.nii.gz", "c", "CT-2", "p2", None),
    }


def test_a_study_is_as_long_as_possible_and_what_stands_before_it_as_short(tmp_path):
    touch(tmp_path, "p1_2020_03.nii.gz")
    assert found(tmp_path, "{patient}_{study}.nii.gz") == {("p1_2020_03.nii.gz", "2020_03", None, "p1", None)}


def test_the_second_place_of_a_wildcard_repeats_the_first(tmp_path):
    touch(tmp_path, "a/a.nii.gz", "a/b.nii.gz")
    assert found(tmp_path, "{study}/{study}.nii.gz") == {("a/a.nii.gz", "a", None, None, None)}


def test_a_wildcard_may_be_constrained(tmp_path):
    touch(tmp_path, "a_12.nii.gz", "a_12_seg.nii.gz", "b.nii.gz")
    assert found(tmp_path, r"{study,\w_\d{2}}.nii.gz") == {("a_12.nii.gz", "a_12", None, None, None)}


@pytest.mark.parametrize("name", ["a.nii", "A.NII.GZ", "a.Nii.gz"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_is_read_packed_or_not_in_any_case_of_letters(tmp_path, name, suffix):
    touch(tmp_path, name, "a.mha", "a.nii.txt")
    assert {file[0] for file in found(tmp_path, "{study}" + suffix)} == {name}


def test_other_formats_are_found_by_their_own_suffix(tmp_path):
    touch(tmp_path, "a.nrrd", "b.MHA", "c.mhd", "c.raw")
    assert [found(tmp_path, f"{{study}}.{kind}") for kind in ("nrrd", "mha", "mhd")] == [
        {("a.nrrd", "a", None, None, None)}, {("b.MHA", "b", None, None, None)}, {("c.mhd", "c", None, None, None)},
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["{patient}/{study}/", "{patient}/{study}"])
def test_a_pattern_without_suffix_finds_folders(tmp_path, text):
    touch(tmp_path, "p1/2020-01-01/IM1.dcm", "p1/notes.txt", "p2/2020-01-02/IM1.dcm")
    assert found(tmp_path, text) == {
        ("p1/2020-01-01", "2020-01-01", None, "p1", None),
        ("p2/2020-01-02", "2020-01-02", None, "p2", None),
    }


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touch(tmp_path, "a/._a.nii.gz", ".b/a.nii.gz", "a/.DS_Store", "a/a.nii.gz")
    assert {file[0] for file in found(tmp_path, "{patient}/{study}.nii.gz")} == {"a/a.nii.gz"}


def test_a_pattern_may_leave_the_root(tmp_path):
    touch(tmp_path, "masks/a.nii.gz")
    (tmp_path / "scans").mkdir()
    (file,) = Pattern("../masks/{study}.nii.gz", "dataset.mask").find(tmp_path / "scans")
    assert file == Found(tmp_path / "scans" / ".." / "masks" / "a.nii.gz", "a")


@pytest.mark.parametrize("link", ["images", "images/a.nii.gz"])
def test_links_to_nothing_are_named_with_the_key(tmp_path, link):
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=f"external.set.root: 1 of the links .*{link}"):
        Pattern("images/{study}.nii.gz", "external.set.ct").find(tmp_path)


def test_a_pattern_is_filled_in():
    pattern = Pattern("{patient}/{study}/{study}_ct.nii.gz", "dataset.ct")
    assert pattern.fill({"patient": "p1", "study": "a"}) == "p1/a/a_ct.nii.gz"
    assert pattern.names == {"patient", "study"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images/scan.nii.gz", "has no {study}.*for example:\n  ct: imagesTr/{study}.nii.gz"),
        ("images/*.nii.gz", "has no {study}.*\n  ct: images/{study}.nii.gz"),
        ("{category}/x.nii.gz", "has no {study}"),
        ("images/{case}.nii.gz", "there is no wildcard {case}.*\n  ct: images/{study}.nii.gz"),
        ("{pateint}/{study}.nii.gz", 'there is no wildcard {pateint}.*\n  ct: "{patient}/{study}.nii.gz"'),
        ("images/{study.nii.gz", "a brace without its partner"),
        ("images/{study,(}.nii.gz", r"\( is no regular expression"),
    ],
)
def test_a_wrong_pattern_is_refused_with_one_that_would_be_right(text, said):
    with pytest.raises(UserError, match=f"(?s)^dataset.ct: .*{said}"):
        Pattern(text, "dataset.ct")


def test_a_pattern_that_begins_with_a_brace_is_quoted_for_yaml():
    assert [quoted("{study}.nii"), quoted("a/{study}.nii")] == ['"{study}.nii"', "a/{study}.nii"]
