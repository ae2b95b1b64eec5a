import pytest

from lesionbench.data.proposals import MOST, candidates, nearest, propose
from touched import touch


@pytest.mark.parametrize(
    ("files", "ct", "mask"),
    [
        (
            ["images/a_1_0000.nii.gz", "images/a_2_0000.nii.gz", "labels/a_1.nii.gz", "labels/._a_1.nii.gz"],
            "images/{study}_0000.nii.gz",
            "labels/{study}.nii.gz",
        ),
        (["x-1_ct.nii.gz", "x-2_ct.nii.gz", "x-1_seg.nii.gz"], "{study}_ct.nii.gz", "{study}_seg.nii.gz"),
        (["anna/ct.nii", "bert/ct.nii", "anna/lesion.nii"], "{study}/ct.nii", "{study}/lesion.nii"),
        (
            [f"{study}.mha" for study in ("p1/01/ct", "p1/03/ct", "p2/03/ct", "p1/01/mask", "p2/03/mask")],
            "{patient}/{study}/ct.mha",
            "{patient}/{study}/mask.mha",
        ),
        (
            [
                *(f"data/{group}/{group}{number}.nrrd" for group in ("sick", "well") for number in range(5)),
                "m/sick1_mask.nrrd",
            ],
            "data/{category}/{study}.nrrd",
            "m/{study}_mask.nrrd",
        ),
        (["p1/s1/IM1.dcm", "p1/s2/IM1.dcm", "p2/s3/IM1.dcm"], "{patient}/{study}/", None),
        (["scans/only.nii.gz"], "scans/{study}.nii.gz", None),
        (["readme.txt"], None, None),
    ],
)
def test_patterns_are_proposed_from_files_alone(tmp_path, files, ct, mask):
    touch(tmp_path, *files)
    assert propose(tmp_path) == (ct, mask)


def test_a_candidate_holds_the_files_that_fit_it(tmp_path):
    touch(tmp_path, "a/1.nii.gz", "a/2.nii.gz", "b/1.nii.gz")
    assert {one.pattern: [file.study for file in one.found] for one in candidates(tmp_path)}["a/{study}.nii.gz"] == [
        "1", "2",
    ]  # fmt: skip


def test_the_nearest_pattern_is_the_one_most_alike(tmp_path):
    touch(tmp_path, "imagesTr/1_0000.nii.gz", "labelsTr/1.nii.gz")
    assert nearest(tmp_path, "imageTr/{study}.nii.gz").pattern == "imagesTr/{study}_0000.nii.gz"
    assert nearest(tmp_path, "labels/{study}.nii.gz").pattern == "labelsTr/{study}.nii.gz"
    assert nearest(tmp_path / "labelsTr" / "none", "{study}.nii") is None


def test_a_folder_of_very_many_files_is_looked_into_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr("lesionbench.data.proposals.MOST", 2)
    touch(tmp_path, *(f"{folder}/{name}.nii" for folder in "abcd" for name in "12"))
    assert MOST > 2 and not any("c/" in one.pattern for one in candidates(tmp_path))
