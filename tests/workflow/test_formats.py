"""CTs as DICOM, NRRD and MetaImage, and masks with several labels, become the slices of their NIfTI twins."""

import re

import numpy as np
import pytest
import SimpleITK

from checkout import copy_checkout
from lesionbench.data.phantom import write_phantom
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.scans import read_ct, read_mask
from lesionbench.data.slices import load_stack, stack_slices
from lesionbench.data.studies import DataSet, Phantom, find_studies
from sliced import TO_LPS, write_series


def write_itk(path, data, affine):
    """Write an array (i, j, k) by SimpleITK."""
    image, axes = SimpleITK.GetImageFromArray(data.T), (TO_LPS @ affine)[:3]
    sizes = np.linalg.norm(axes[:, :3], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((axes[:, :3] / sizes).ravel().tolist())
    image.SetOrigin(axes[:, 3].tolist())
    SimpleITK.WriteImage(image, str(path))


CUT = "results/tiny/slices/axial_-1000_1000"


def rules_due(checkout, wanted, dataset):
    """How many jobs of each rule would run."""
    output = checkout.snakemake("--dry-run", *wanted, config={"dataset": dataset})
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE) if rule != "total"}


def test_studies_of_any_format_are_cut_as_their_nifti_twins(repository, tmp_path):
    write_phantom(tmp_path / "nifti", Phantom(studies=3, annotated=3, size=32, slices=(6, 8)))
    studies, other = find_studies(DataSet(tmp_path / "nifti")), tmp_path / "other"
    lines = ["study,ct,mask"]
    for study, suffix in zip(studies, ("", ".nrrd", ".mha"), strict=True):
        ct, mask = read_ct(study.ct), read_mask(study.mask)
        (write_itk if suffix else write_series)(other / f"{study.name}{suffix}", ct.data, ct.affine)
        write_itk(other / f"{study.name}_seg.nrrd", mask.data * np.uint8(3) + (mask.data == 0), mask.affine)
        lines.append(f"{study.name},{study.name}{suffix},{study.name}_seg.nrrd")
    (other / "table.csv").write_text("\n".join([*lines, ""]))
    checkout = copy_checkout(repository, tmp_path / "checkout")
    dataset = {"root": str(other), "table": str(other / "table.csv"), "phantom": None, "lesion_labels": [3]}
    wanted = [*(f"{CUT}/{study.name}.npz" for study in studies), "results/tiny/dataset/studies.csv"]
    checkout.snakemake(*wanted, config={"dataset": dataset})
    assert rules_due(checkout, wanted, dataset) == {}
    for study in studies:
        cut = load_stack(checkout.folder / f"{CUT}/{study.name}.npz")
        twin = stack_slices(study.name, read_ct(study.ct), read_mask(study.mask), Preprocessing("axial"))
        assert (cut.image == twin.image).all() and (cut.mask == twin.mask).all() and twin.mask.any()
        assert cut.spacing == pytest.approx(twin.spacing)
    # An edit in place leaves the folder's time as it is.
    slices = sorted((other / studies[0].name).iterdir())
    slices[3].write_bytes(slices[3].read_bytes() + b"\0")
    assert rules_due(checkout, wanted, dataset) == {"preprocess": 1, "inventory": 1}
