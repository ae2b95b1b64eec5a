"""Lungs are found once a scan, kept by content, and read as they were found."""

import json

import numpy as np
import pytest

from lesionbench.data.nifti import write_volume
from lesionbench.data.phantom import synthesise
from lesionbench.data.reading import AS_IS
from lesionbench.data.scans import read_ct
from lesionbench.data.studies import Phantom
from lesionbench.errors import UserError
from lesionbench.segmentation import found_lungs
from lesionbench.segmentation.found_lungs import find_each, read_found
from lesionbench.segmentation.inputs import Scan
from lesionbench.segmentation.lungs import find_lungs

PHANTOM = Phantom(studies=3, annotated=3, size=48, slices=(16, 16))


def scan_of(folder, name="study_1", seed_name=None):
    ct, _ = synthesise(seed_name or name, "CT-2", PHANTOM)
    write_volume(folder / f"{name}.nii.gz", ct.data, ct.affine)
    return Scan(name, folder / f"{name}.nii.gz")


def test_what_is_found_is_read_again(tmp_path):
    scan = scan_of(tmp_path)
    assert find_each([scan], AS_IS, "code", tmp_path / "out") == []
    ct = read_ct(scan.path)
    found, lungs = read_found(tmp_path / "out/study_1", ct, AS_IS), find_lungs(ct)
    assert (found.mask == lungs.mask).all() and (found.failure, found.warning) == (lungs.failure, lungs.warning)
    assert set(np.unique(found.mask)) == {0, 1, 2}


def test_a_failure_is_kept_with_its_reason(tmp_path):
    hu = np.where(np.indices((20, 20, 8)).sum(axis=0) % 2, 40, -850).astype(np.int16)
    write_volume(tmp_path / "ct.nii.gz", hu, np.eye(4))
    assert find_each([Scan("ct", tmp_path / "ct.nii.gz")], AS_IS, "code", tmp_path / "out") == []
    found = read_found(tmp_path / "out/ct", read_ct(tmp_path / "ct.nii.gz"), AS_IS)
    assert "no lungs were found" in found.failure and not found.mask.any()


def test_only_a_changed_scan_or_basis_is_looked_at_again(tmp_path, monkeypatch):
    scans, looked = [scan_of(tmp_path, "study_1"), scan_of(tmp_path, "study_2")], []
    monkeypatch.setattr(found_lungs, "find_lungs", lambda ct: looked.append(1) or find_lungs(ct))

    def looks(basis="code"):
        looked.clear()
        assert find_each(scans, AS_IS, basis, tmp_path / "out") == []
        return len(looked)

    assert (looks(), looks()) == (2, 0)
    scan_of(tmp_path, "study_2", "study_3")
    assert (looks(), looks("other"), looks("other")) == (1, 2, 0)
    (tmp_path / "out/study_1/lungs.nii.gz").unlink()
    assert looks("other") == 1


def test_a_scan_that_fails_is_named_and_the_others_go_on(tmp_path):
    write_volume(tmp_path / "mask.nii.gz", np.ones((8, 8, 8), np.int16), np.eye(4))
    scans = [Scan("mask", tmp_path / "mask.nii.gz"), scan_of(tmp_path)]
    (error,) = find_each(scans, AS_IS, "code", tmp_path / "out")
    assert "mask.nii.gz: " in error and "This is no CT in HU" in error and "--force" not in error
    assert (tmp_path / "out/study_1/report.json").is_file() and not (tmp_path / "out/mask").exists()


def test_damaged_reports_are_told(tmp_path):
    scan = scan_of(tmp_path)
    find_each([scan], AS_IS, "code", tmp_path / "out")
    report = tmp_path / "out/study_1/report.json"
    for text in ("{", json.dumps({"files": []}), "[]"):
        report.write_text(text)
        with pytest.raises(UserError, match=r"study_1: the lungs that were found there cannot be read"):
            read_found(report.parent, read_ct(scan.path), AS_IS)
