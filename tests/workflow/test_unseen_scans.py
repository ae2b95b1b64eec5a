"""Scans that no training has seen: the studies of the target `severity`, and those of `segment.scans`."""

import os
import re
import shutil

import nibabel as nib
import numpy as np
import pytest

from checkout import copy_checkout
from lesionbench.data.frames import read_frame
from lesionbench.data.nifti import write_volume
from lesionbench.data.phantom import synthesise
from lesionbench.data.studies import Phantom

RESULTS = "results/tiny"
PHANTOM = {"studies": 13, "annotated": 3, "size": 48, "slices": [16, 16], "graded": True}
SMALL = {
    "dataset": {"phantom": PHANTOM},
    "compare": ["small"],
    "segment": {"scans": "new", "scans_per_job": 6},
}
SEGMENTED = f"{RESULTS}/segmented/models/small/scans.csv"


def write_scan(folder, name, seed):
    ct, _ = synthesise(f"new_{seed}", "CT-2", Phantom(size=48, slices=(16, 16)))
    write_volume(folder / "new" / f"{name}.nii.gz", ct.data, ct.affine)


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    """A checkout with one trained network, which has segmented all studies that it has not seen and two scans more."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("severity"))
    for name in ("a", "b"):
        write_scan(checkout.folder, name, name)
    checkout.snakemake("severity", SEGMENTED, config=SMALL)
    return checkout


def due(checkout, *targets, **changes):
    """The jobs of each rule that a dry run lists."""
    output = checkout.snakemake(*targets, "--dry-run", config={**SMALL, **changes})
    stats = re.search(r"^job +count\n[- ]+\n(.*?)^total ", output, flags=re.MULTILINE | re.DOTALL)
    jobs = {rule: int(count) for rule, count in (line.split() for line in stats[1].splitlines())} if stats else {}
    jobs.pop("severity", None)
    return jobs


def times_of(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/report.json")}


def test_every_study_whose_patient_no_training_has_seen_has_a_share_and_no_other(checkout):
    results = checkout.folder / RESULTS
    shares = read_frame(results / "severity/shares.csv")
    assert len(shares) == 11
    assert shares["category"].value_counts().to_dict() == {"CT-0": 2, "CT-1": 3, "CT-2": 2, "CT-3": 2, "CT-4": 2}
    assert shares["share"].between(0, 1).mean() > 0.6
    annotated = {f"study_{number:04d}" for number in (1, 2, 3)}
    assert len(annotated & set(shares["study"])) == 1
    table = read_frame(results / "tables/severity.csv")
    assert table["studies"].tolist() == [shares["share"].notna().sum()] and 0 <= table["auc_involved"][0] <= 1
    assert (results / "figures/share_by_class.png").stat().st_size > 5000
    assert {path.parent.name for path in results.glob("severity/models/small/*/lesion.nii.gz")} == set(shares["study"])


def test_scans_have_what_the_command_writes(checkout):
    folder = checkout.folder / RESULTS / "segmented"
    table = read_frame(folder / "models/small/scans.csv")
    assert table["scan"].tolist() == ["a", "b"] and table["runs"].tolist() == [1, 1]
    for name in ("a", "b"):
        ct = nib.load(checkout.folder / f"new/{name}.nii.gz")
        mask = nib.load(folder / f"models/small/{name}/lesion.nii.gz")
        assert (ct.affine == mask.affine).all()
        volume = np.count_nonzero(np.asarray(mask.dataobj)) * abs(np.linalg.det(ct.affine)) / 1000
        assert table.set_index("scan").loc[name, "lesion_ml"] == pytest.approx(volume)
        assert (folder / f"lungs/{name}/lungs.nii.gz").is_file()


def test_nothing_runs_again_and_each_change_runs_what_depends_on_it(checkout):
    assert due(checkout, "severity", SEGMENTED) == {}
    label = {"models": {"small": {"label": "Other"}}}
    assert due(checkout, "severity", SEGMENTED, **label) == {"compare_severity": 1, "plot": 1}
    assert due(checkout, "severity", SEGMENTED, evaluation={"resamples": 300}) == {"compare_severity": 1, "plot": 1}
    threshold = due(checkout, "severity", evaluation={"threshold": 0.4})
    assert threshold == {"segment_scans": 2, "gather_scans": 1, "compare_severity": 1, "plot": 1}
    more = {"models": {"more": {"architecture": "classic-unet", "options": {"width": 4}}}, "compare": ["small", "more"]}
    added = due(checkout, "severity", SEGMENTED, **more)  # of the new model, the target has two parts
    assert added == {"train": 1, "segment_scans": 2, "gather_scans": 1, "compare_severity": 1, "plot": 1}
    study = next((checkout.folder / RESULTS / "phantom/studies/CT-4").iterdir())
    before, times = study.read_bytes(), study.stat()
    study.write_bytes(before + b"\0")
    changed = due(checkout, "severity")
    study.write_bytes(before)
    os.utime(study, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert changed == {"find_lungs": 1, "segment_scans": 1, "gather_scans": 1, "compare_severity": 1, "plot": 1}


def test_a_scan_replaced_by_an_older_one_is_segmented_again_and_its_neighbour_kept(checkout):
    folder = checkout.folder / RESULTS / "segmented"
    before = times_of(folder / "models/small"), times_of(folder / "lungs")
    os.utime(checkout.folder / "new/a.nii.gz")  # new times of the same content count for nothing
    assert due(checkout, SEGMENTED) == {}
    write_scan(checkout.folder, "b", "c")
    os.utime(checkout.folder / "new/b.nii.gz", ns=(0, 0))
    assert due(checkout, SEGMENTED) == {"find_lungs": 1, "segment_scans": 1, "gather_scans": 1}
    checkout.snakemake(SEGMENTED, config=SMALL)
    after = times_of(folder / "models/small"), times_of(folder / "lungs")
    for old, new in zip(before, after, strict=True):
        assert new["a"] == old["a"] and new["b"] > old["b"]


def test_scans_are_due_with_all_else_and_only_where_they_are_named(checkout):
    jobs = checkout.would_run(**SMALL)
    assert "compare_severity" not in jobs and {"evaluate", "compare"} <= set(jobs)
    without = checkout.would_run(**SMALL | {"segment": {"scans": None}})
    assert not {"find_lungs", "segment_scans", "gather_scans"} & set(without)
    write_scan(checkout.folder, "d", "d")
    try:
        assert checkout.would_run(**SMALL)["segment_scans"] == 1
    finally:
        (checkout.folder / "new/d.nii.gz").unlink()


def test_a_data_set_without_classes_is_told_so_and_runs_as_before(checkout):
    root = checkout.folder / "plain"
    for kind, files in (("ct", "studies/*/*.nii.gz"), ("mask", "masks/*.nii.gz")):
        (root / kind).mkdir(parents=True)
        for path in (checkout.folder / RESULTS / "phantom").glob(files):
            shutil.copy(path, root / kind / path.name.replace("_mask", ""))
    layout = {"phantom": None, "root": "plain", "ct": "ct/{study}.nii.gz", "mask": "mask/{study}.nii.gz"}
    plain = {**SMALL, "dataset": layout}
    output = checkout.snakemake("severity", "--dry-run", config=plain, check=False)
    assert "severity: no study of the data set has a CT and one of the classes CT-0, CT-1" in output
    assert "Traceback" not in output
    assert "train" in checkout.would_run(**plain)
