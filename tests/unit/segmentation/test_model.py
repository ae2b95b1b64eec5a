import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch

import lesionbench
from lesionbench.data.nifti import write_volume
from lesionbench.data.phantom import synthesise
from lesionbench.data.studies import Phantom
from lesionbench.errors import UserError
from lesionbench.models.networks import build_network
from lesionbench.segmentation.probabilities import read_levels
from lesionbench.training.record import write_run
from tiny import MODEL

RECORD = {
    "model": {"architecture": MODEL.architecture, "options": MODEL.options},
    "training": {"batch_size": 8, "precision": "float32"},
    "preprocessing": {"plane": "axial"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a training with random weights that marks much of a scan."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "seed-0"
    weights = build_network(MODEL).module.state_dict()
    weights["head.bias"] += 1
    write_run(folder, weights, [{"epoch": 1, "validation_loss": 1.0, "seconds": 0.0}], RECORD)
    return folder


@pytest.fixture(scope="module")
def ct():
    return synthesise("study_1", "CT-2", Phantom(studies=2, annotated=2, size=48, slices=(16, 18)))[0]


def test_a_file_and_its_array_give_the_same_on_the_scans_grid(run, ct, tmp_path):
    write_volume(tmp_path / "ct.nii.gz", ct.data, ct.affine)
    model = lesionbench.load_model(run, device="cpu")
    found, same = model.segment(tmp_path / "ct.nii.gz"), model.segment(ct.data, ct.affine)
    assert (found.mask == same.mask).all() and found.mask.shape == ct.data.shape and found.mask.any()
    assert (found.mask == (found.probability >= 0.5)).all() and found.probability.dtype == np.float32
    assert (found.affine == ct.affine).all() and found.spacing == pytest.approx([7.5, 7.5, 8])
    assert found.lesion_ml == pytest.approx(found.mask.sum() * 0.45) == found.measures["lesion_ml"]
    assert set(np.unique(found.lungs)) == {0, 1, 2} and found.measures["lungs_ml"] > 1000
    found.save(tmp_path / "mask.nii.gz")
    found.save_probability(tmp_path / "probability.nii.gz")
    assert (np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj) == found.mask).all()
    assert (read_levels(tmp_path / "probability.nii.gz").data == np.rint(found.probability * 255)).all()


def test_it_takes_what_the_command_takes(run):
    model = lesionbench.load_model([run.parent, str(run)], "cpu", precision="bfloat16", mirror=True)
    assert [str(path) for path in model.ensemble.runs] == [str(run)]
    assert model.ensemble.predictors[0].computes_in == "bfloat16" and model.ensemble.predictors[0].mirroring


def test_mistakes_are_told(run, ct, tmp_path):
    model = lesionbench.load_model(run, device="cpu")
    with pytest.raises(UserError, match="with its affine"):
        model.segment(ct.data)
    with pytest.raises(UserError, match="has its own affine"):
        model.segment("ct.nii.gz", ct.affine)
    with pytest.raises(UserError, match=r"no CT in HU, .*force=True"):
        model.segment(np.zeros(ct.data.shape), ct.affine)
    with pytest.raises(UserError, match="no such folder"):
        lesionbench.load_model(tmp_path / "none")
    with pytest.raises(UserError, match="Give training, float32"):
        lesionbench.load_model(run, precision="float16")


def test_importing_the_library_imports_nothing_heavy():
    code = "import lesionbench, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
