"""The check of thirteen real studies, which have nothing wrong, and of copies of them that look different."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from lesionbench.data.duplicates import fingerprint, same_scans
from lesionbench.data.inventory import inventory, read_registry
from lesionbench.data.scans import read_ct
from lesionbench.data.studies import DataSet, find_studies
from lesionbench.data.volume import Volume, to_slices

# Of slices from feet to head whose rows grow to the back and columns to the left.
AFFINE = np.array([[0, 0, -1.0, 0], [0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def root(test_data):
    folder = test_data / "covid-ct-20"
    if not folder.exists():
        pytest.skip(f"{folder} is not here")
    return folder


@pytest.fixture(scope="module")
def scans(root):
    cts = [read_ct(study.ct) for study in find_studies(DataSet(root))]
    return [to_slices(ct.data, ct.affine, "axial") for ct in cts]


@pytest.fixture(scope="module")
def originals(scans):
    return prints(scans)


def prints(scans):
    return [fingerprint(Volume(scan, AFFINE)) for scan in scans]


def test_real_studies_have_no_finding(root):
    studies = find_studies(DataSet(root))
    registry = read_registry(root, {study.name for study in studies})
    table, findings, _ = inventory(studies, root, registry, threads=2, needs_ct=True)
    assert len(table) == 13 and findings == []


@pytest.mark.parametrize(
    "change",
    [
        lambda scan, random: scan + random.normal(0, 40, scan.shape),
        lambda scan, random: gaussian_filter(scan.astype(np.float32), (0, 1, 1)),
        lambda scan, random: np.rint((np.clip(scan, -1250, 250) + 1250) * 0.17) / 0.17 - 1250,
        lambda scan, random: zoom(scan, (1, 0.8, 0.8), order=1),
        lambda scan, random: scan[:, ::2, ::2],
        lambda scan, random: scan[1:],
    ],
    ids=["noise", "kernel", "8 bit", "matrix of 80 %", "matrix of 50 %", "without the first slice"],
)
def test_each_real_scan_is_found_again_and_no_other(scans, originals, change):
    random = np.random.default_rng(0)
    copies = [change(scan, random) for scan in scans]
    for number, copy in enumerate(prints(copies)):
        assert [(pair.first, pair.second) for pair in same_scans([*originals, copy])] == [(number, len(scans))]
