import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lesionbench.data.duplicates import SHAPE, fingerprint, patients_in_names, same_contents, same_scans
from lesionbench.data.phantom import synthesise
from lesionbench.data.studies import Phantom
from lesionbench.data.volume import Volume

PHANTOM = Phantom(size=64, slices=(16, 22))


@pytest.fixture(scope="module")
def scans():
    """Different patients whose bodies are drawn alike: worse than real ones, whose bodies differ."""
    return [synthesise(f"study_{number:04d}", "CT-1", PHANTOM)[0] for number in range(9)]


def test_a_fingerprint_is_small_and_the_same_for_every_order_of_axes(scans):
    ct = scans[0]
    one = fingerprint(ct)
    assert one.shape == (np.prod(SHAPE),) and one.dtype == np.uint8
    turned = ct.affine @ np.array([[0, 0, -1, len(ct.data) - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    moved = Volume(np.transpose(ct.data[::-1], (1, 2, 0)), turned)
    np.testing.assert_array_equal(fingerprint(moved), one)


def test_a_fingerprint_holds_means_of_the_volume():
    plain = Volume(np.full((70, 50, 30), 400, np.int16), np.eye(4))
    assert (fingerprint(plain) == 255).all()
    half = plain.data.copy()
    half[:35] = -1000
    assert fingerprint(Volume(half, np.eye(4))).mean() == pytest.approx(127.5, abs=2)


def test_different_patients_are_not_taken_for_one(scans):
    assert same_scans([fingerprint(ct) for ct in scans]) == []


def changed(ct, data):
    return Volume(data, ct.affine)


@pytest.mark.parametrize(
    "change",
    [
        lambda ct, random: ct.data + random.normal(0, 40, ct.data.shape),
        lambda ct, random: gaussian_filter(ct.data.astype(float), (0.6, 0.6, 0)),
        lambda ct, random: np.rint((np.clip(ct.data, -1250, 250) + 1250) / 1500 * 255) * 1500 / 255 - 1250,
        lambda ct, random: np.repeat(np.repeat(ct.data, 3, axis=0), 3, axis=1),
    ],
    ids=["noise", "kernel", "8 bit", "three times the matrix"],
)
def test_one_scan_in_two_versions_is_found_among_others(scans, change):
    other = changed(scans[3], change(scans[3], np.random.default_rng(0)))
    (pair,) = same_scans([fingerprint(ct) for ct in [*scans, other]])
    assert (pair.first, pair.second) == (3, 9) and 0.95 < pair.correlation <= 1


def test_equal_voxels_are_equal_whatever_file_holds_them(scans):
    prints = [fingerprint(ct) for ct in scans]
    assert same_scans([*prints, prints[2].copy()]) == [(2, 9, 1.0)]
    assert same_scans([prints[2], prints[2]]) == [(0, 1, 1.0)]
    assert same_scans([prints[2]]) == [] == same_scans([])


def test_pairs_are_found_across_blocks(scans, monkeypatch):
    monkeypatch.setattr("lesionbench.data.duplicates._BLOCK", 2)
    prints = [fingerprint(ct) for ct in scans]
    assert same_scans([*prints, prints[0], prints[7]]) == [(0, 9, 1.0), (7, 10, 1.0)]


def test_a_constant_volume_is_like_no_other(scans):
    prints = [fingerprint(ct) for ct in scans]
    assert same_scans([*prints, np.zeros_like(prints[0])]) == []


def test_files_of_the_same_bytes_are_named_after_the_first():
    assert list(same_contents({"a": "1", "b": "2", "c": "1", "d": "1"})) == [("a", "c"), ("a", "d")]


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["radiopaedia_29_86490_1", "radiopaedia_29_86491_1", "radiopaedia_7_85703_0"],
         [["radiopaedia_29_86490_1", "radiopaedia_29_86491_1"]]),
        (["29_86490_1", "29_86491_1", "40_86625_0", "10_85902_1", "10_85902_3"],
         [["10_85902_1", "10_85902_3"], ["29_86490_1", "29_86491_1"]]),
        (["p1_2020-03-01", "p1_2020-03-09", "p2_2020-03-01"], [["p1_2020-03-01", "p1_2020-03-09"]]),
        ([f"study_{number:04d}" for number in range(30)], []),
        ([f"volume-covid19-A-{number:04d}" for number in range(30)], []),
        ([f"coronacases_{number:03d}" for number in range(1, 11)], []),
        # A hospital's number, and not a patient's.
        ([f"site{site}_{number:03d}" for site in (1, 2) for number in range(20)], []),
        (["ct", "scan", "a_1_2"], []),
    ],
)  # fmt: skip
def test_names_tell_scans_of_one_patient(names, groups):
    assert patients_in_names(names) == groups
