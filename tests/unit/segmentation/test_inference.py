import json
import logging
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from lesionbench.data.reading import Reading
from lesionbench.data.slices import SliceStack, load_stack
from lesionbench.errors import UserError
from lesionbench.models.networks import Network, build_network
from lesionbench.segmentation.inference import Predictor, load_run, predict, predict_stack, segment
from lesionbench.segmentation.operating_point import write_lesion
from lesionbench.segmentation.point import OperatingPoint
from lesionbench.training.learner import FoldData
from lesionbench.training.loop import train
from lesionbench.training.record import Record
from lesionbench.training.runfile import write_record
from owned import entry_of, write_network
from tiny import AFFINE, MODEL, PREPROCESSING, RECIPE, by_study, make_study, write_stack

CPU = torch.device("cpu")
RECORD = Record(MODEL, RECIPE, PREPROCESSING, {})


class Bright(torch.nn.Module):
    """Stands for a network: calls lesion what is above 0 HU, and takes padded slices only."""

    def forward(self, image):
        assert image.shape[2] % 16 == image.shape[3] % 16 == 0
        return image * 1000


BRIGHT = Network(Bright(), stride=16)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished training and its validation study."""
    folder = tmp_path_factory.mktemp("run")
    stacks = [write_stack(folder, 1), write_stack(folder, 2)]
    data = FoldData(by_study(stacks[:1]), by_study(stacks[1:]), PREPROCESSING)
    train(MODEL, RECIPE, data, folder, threads=1)
    return folder, stacks[1]


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_mask_has_the_slices_size_and_lies_on_the_scan(tmp_path, plane):
    ct, _ = make_study(5, (21, 34, 7))
    nib.save(nib.Nifti1Image(ct.data, ct.affine), tmp_path / "ct.nii.gz")
    bright = Predictor(BRIGHT, replace(RECORD, preprocessing=replace(PREPROCESSING, plane=plane)), CPU)
    volume = segment(bright, tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz")
    mask = nib.load(tmp_path / "mask.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    assert (mask.affine == AFFINE).all()
    assert (np.asarray(mask.dataobj) == (ct.data >= 0)).all()
    assert volume == pytest.approx((ct.data >= 0).sum() * 2 * 1 * 8 / 1000) and volume > 0


RESAMPLED = {"spacing": [1.3, 3.1], "size": [40, 30]}


@pytest.mark.parametrize(
    "changes", [{"spacing": [1.3, 3.1]}, {"spacing": [4, 1.3, 3.1]}, {"size": [20, 18]}, RESAMPLED]
)
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_from_resampled_or_cropped_slices_a_mask_comes_back_to_the_scan(tmp_path, plane, changes):
    hu = np.full((42, 68, 14), -1000, np.int16)
    hu[13:29, 25:43, 3:10] = 600
    nib.save(nib.Nifti1Image(hu, AFFINE), tmp_path / "ct.nii.gz")
    preprocessing = replace(PREPROCESSING, plane=plane, **changes)
    bright = Predictor(BRIGHT, replace(RECORD, preprocessing=preprocessing), CPU)
    segment(bright, tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz")
    mask = nib.load(tmp_path / "mask.nii.gz")
    assert mask.shape == hu.shape and (mask.affine == AFFINE).all()
    found, lesion = np.asarray(mask.dataobj) > 0, hu > 0
    assert 2 * (found & lesion).sum() / (found.sum() + lesion.sum()) > (0.99 if "spacing" not in changes else 0.8)
    assert np.argwhere(found).mean(axis=0) == pytest.approx(np.argwhere(lesion).mean(axis=0), abs=0.5)


def mask_of(predictor, stack, threshold):
    """The mask (slices, height, width) where the predicted probability reaches a threshold."""
    return (predict_stack(predictor, stack) >= threshold).astype(np.uint8)


def test_a_training_on_resampled_slices_predicts_on_the_studys_own_grid(run, tmp_path):
    _, path = run
    study, stack = by_study([path]), load_stack(path)
    preprocessing = replace(PREPROCESSING, spacing=[1.5, 2.5], size=[24, 24])
    train(
        MODEL, replace(RECIPE, max_epochs=30, patience=30), FoldData(study, study, preprocessing), tmp_path, threads=1
    )
    predictor = load_run(tmp_path, "cpu")
    assert predictor.record.preprocessing == preprocessing
    predicted = mask_of(predictor, stack, 0.5)
    assert predicted.shape == stack.image.shape and dice_of(predicted, stack) > 0.5


def test_a_mask_carries_what_the_scans_header_says(tmp_path):
    ct, _ = make_study(5, (21, 34, 7))
    image = nib.Nifti1Image(ct.data, ct.affine)
    image.set_qform(AFFINE @ np.diag([1, 1, 0.75, 1]), "scanner")
    nib.save(image, tmp_path / "ct.nii.gz")
    arguments = Predictor(BRIGHT, RECORD, CPU), tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz"
    with pytest.raises(UserError, match="--geometry"):
        segment(*arguments)
    voxels = (ct.data >= 0).sum()
    assert segment(*arguments, reading=Reading(geometry="qform")) == pytest.approx(voxels * 2 * 1 * 6 / 1000)
    mask = nib.load(tmp_path / "mask.nii.gz").header
    assert (mask["sform_code"], mask["qform_code"]) == (2, 1)
    assert mask.get_sform() == pytest.approx(AFFINE) and mask.get_qform() == pytest.approx(image.get_qform())
    resampled = replace(RECORD, preprocessing=replace(PREPROCESSING, **RESAMPLED))
    segment(Predictor(BRIGHT, resampled, CPU), *arguments[1:], reading=Reading(geometry="qform"))
    assert nib.load(tmp_path / "mask.nii.gz").header.binaryblock == mask.binaryblock


def test_probability_at_the_threshold_is_lesion(tmp_path):
    stack = load_stack(write_stack(tmp_path, 1))
    stack.image[:] = 0
    bright = Predictor(BRIGHT, RECORD, CPU)
    assert mask_of(bright, stack, 0.5).all() and not mask_of(bright, stack, 0.51).any()


class Corner(torch.nn.Module):
    """Stands for a network that is not symmetric: certain of lesion in the first row and column, of none elsewhere."""

    def forward(self, image):
        logits = torch.full_like(image[:, :1], -40)
        logits[:, :, 0, 0] = 40
        return logits


def test_mirrored_prediction_is_the_mean_over_mirror_images(tmp_path):
    stack = load_stack(write_stack(tmp_path, 1))
    corner = Predictor(Network(Corner(), stride=16), RECORD, CPU)
    assert mask_of(corner, stack, 0.2).sum(axis=(1, 2)).tolist() == [1] * 9
    mirroring = replace(corner, mirroring=True)
    mirrored = mask_of(mirroring, stack, 0.25)
    assert mirrored.sum(axis=(1, 2)).tolist() == [4] * 9 and mirrored[:, [0, 0, -1, -1], [0, -1, 0, -1]].all()
    assert not mask_of(mirroring, stack, 0.26).any()


class Lighter(torch.nn.Module):
    """Stands for a network of three slices: calls lesion what is brighter in the next slice than in the one before."""

    def forward(self, image):
        return 1000 * (image[:, 2:] - image[:, :1]) - 1


def test_neighbours_reach_the_network_across_parts_and_repeat_at_the_ends(tmp_path):
    stack = load_stack(write_stack(tmp_path, 1))
    stack.image[:] = np.arange(9)[:, None, None] ** 2
    stack.image[6] = 0
    record = replace(RECORD, preprocessing=replace(PREPROCESSING, neighbours=1))
    mask = mask_of(Predictor(Network(Lighter(), stride=16, channels=3), record, CPU), stack, 0.5)
    values = [0, 1, 4, 9, 16, 25, 0, 49, 64]
    around = [0, *values, 64]
    assert mask[:, 3, 3].tolist() == [int(around[slice + 2] > around[slice] + 0.5) for slice in range(9)]


@pytest.mark.parametrize("changes", [{"ema_decay": 0.9}, {"neighbours": 1}])
def test_a_run_with_an_average_or_with_neighbours_predicts_what_its_validation_saw(changes, run, tmp_path):
    _, path = run
    neighbours = changes.pop("neighbours", 0)
    preprocessing = replace(PREPROCESSING, neighbours=neighbours)
    study = by_study([path])
    train(MODEL, replace(RECIPE, **changes), FoldData(study, study, preprocessing), tmp_path, threads=1)
    predictor, stack = load_run(tmp_path, "cpu"), load_stack(path)
    assert predictor.record.preprocessing.channels == 1 + 2 * neighbours
    assert dice_of(mask_of(predictor, stack, 0.5), stack) == pytest.approx(
        best_validation_dice(tmp_path, predictor), abs=1e-3
    )


def dice_of(predicted, stack):
    return 2 * (predicted & stack.mask).sum() / (predicted.sum() + stack.mask.sum())


def best_validation_dice(folder, predictor):
    rows = (folder / "history.csv").read_text().splitlines()
    best = dict(zip(rows[0].split(","), rows[predictor.record.contents["best_epoch"]].split(","), strict=True))
    return float(best["validation_dice"])


def test_a_run_predicts_what_its_validation_saw(run, tmp_path):
    folder, path = run
    stack = load_stack(path)
    predictor = load_run(folder, "cpu")
    predicted = mask_of(predictor, stack, 0.5)
    assert predicted.shape == stack.image.shape and predicted.dtype == np.uint8
    assert dice_of(predicted, stack) == pytest.approx(best_validation_dice(folder, predictor), abs=1e-3)

    volume = write_lesion(predict(predictor, stack), OperatingPoint(), tmp_path / "mask.nii.gz")
    assert volume == pytest.approx(predicted.sum() * 16 / 1000)


def test_a_missing_or_damaged_file_is_an_error_that_names_it(run, tmp_path):
    with pytest.raises(UserError, match=r"run\.json"):
        load_run(tmp_path, "cpu")
    (tmp_path / "run.json").write_bytes((run[0] / "run.json").read_bytes())
    with pytest.raises(UserError, match=r"weights\.safetensors"):
        load_run(tmp_path, "cpu")
    (tmp_path / "weights.safetensors").write_bytes((run[0] / "weights.safetensors").read_bytes()[:-9])
    with pytest.raises(UserError, match=r"weights\.safetensors"):
        load_run(tmp_path, "cpu")


def test_weights_of_another_model_are_an_error(run, tmp_path):
    record = json.loads((run[0] / "run.json").read_text())
    (tmp_path / "weights.safetensors").write_bytes((run[0] / "weights.safetensors").read_bytes())
    for width in (8, 100_000):  # which would take terabytes
        write_record(record | {"model": asdict(MODEL) | {"options": {"width": width}}}, tmp_path / "run.json")
        with pytest.raises(UserError, match="do not fit the model"):
            load_run(tmp_path, "cpu")


STATUS = Path("/proc/self/status")


def peak_growth(call):
    """Return by how many bytes the most memory that the process holds during a call exceeds that before it."""

    def held(field):
        fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return 1024 * int(fields[field].split()[0])

    STATUS.with_name("clear_refs").write_text("5")  # the peak starts again from what is held now
    before = held("VmRSS")
    call()
    return held("VmHWM") - before


@pytest.mark.skipif(not STATUS.exists(), reason="the peak is read as Linux tells it")
@pytest.mark.parametrize(("changes", "bytes_a_voxel"), [({}, 4), ({"spacing": [2, 1.5, 1.5]}, 20)])
def test_memory_to_predict_a_study_grows_no_faster_than_its_slices(changes, bytes_a_voxel):
    bright = Predictor(BRIGHT, replace(RECORD, preprocessing=replace(PREPROCESSING, **changes)), CPU)

    def growth(slices):
        image = np.full((slices, 256, 256), 100, np.int16)
        stack = SliceStack("study_0001", "axial", image, None, AFFINE, np.array([2, 1, 1.0]))
        return peak_growth(lambda: predict_stack(bright, stack))

    growth(10)  # what the first prediction sets up
    for slices in (200, 400):
        assert growth(slices) < bytes_a_voxel * slices * 256 * 256 + 16e6


def test_a_network_of_ones_own_is_built_again_where_its_code_is_trusted(tmp_path):
    entry = entry_of(write_network(tmp_path), width=2)
    stacks = [write_stack(tmp_path, 1), write_stack(tmp_path, 2)]
    data = FoldData(by_study(stacks[:1]), by_study(stacks[1:]), PREPROCESSING)
    train(entry, replace(RECIPE, max_epochs=1), data, tmp_path / "run", threads=1)
    with pytest.raises(UserError, match=r"run: its network is .*net\.py:Net, which is code of its own"):
        load_run(tmp_path / "run")
    for code in (None, [str(tmp_path / "net.py")]):
        assert load_run(tmp_path / "run", code=code).network.module.first.out_channels == 2
    write_network(tmp_path, "relu()", "sigmoid()")
    with pytest.raises(UserError, match=r"net\.py .*has changed since the training"):
        load_run(tmp_path / "run", code=None)


class Spots(torch.nn.Module):
    """Stands for a network: calls lesion what is above 0 HU, and counts the slices that it sees."""

    seen = 0

    def forward(self, image):
        Spots.seen += len(image)
        return image * 1000


def test_around_the_lungs_probabilities_are_those_of_everywhere_and_0_elsewhere():
    image = np.full((24, 96, 128), -1000, np.int16)
    lungs = np.zeros(image.shape, np.uint8)
    lungs[8:12, 40:60, 40:60] = 1
    image[10, 50:53, 50:53] = 100  # in a lung
    image[10, 80:83, 110:113] = image[20, 50, 50] = 100  # far from it
    stack = SliceStack("study_0001", "axial", image, None, AFFINE, np.array([10, 1, 1.0]))
    network = Predictor(Network(Spots(), stride=16), RECORD, CPU)
    everywhere, near = (predict_stack(network, stack, lungs=where) for where in (None, lungs))
    expected = everywhere.copy()
    expected[:7] = expected[13:] = expected[:, :, 96:] = 0
    assert (near == expected).all() and near[10, 51, 51] == 1 and not near[20].any()
    Spots.seen = 0
    predict_stack(network, stack, lungs=lungs)
    assert Spots.seen == 6  # a slice of 10 mm on either side
    image[10:22, 55:58, 55:110] = 100  # a lesion that leaves the region goes on
    found = predict_stack(network, stack, lungs=lungs)
    assert (found[10:22, 55:58, 55:110] == 1).all()
    assert (predict_stack(network, stack, lungs=np.zeros_like(lungs)) == predict_stack(network, stack)).all()


def test_a_study_that_takes_minutes_is_told_of_slice_by_slice(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("lesionbench.progress.monotonic", count(0, 61).__next__)  # a minute passes at each look
    image, lungs = np.full((24, 32, 32), -1000, np.int16), np.zeros((24, 32, 32), np.uint8)
    lungs[8:12], image[4:20] = 1, 100
    stack = SliceStack("study_0001", "axial", image, None, AFFINE, np.array([10, 1, 1.0]))
    network = Predictor(Network(Spots(), stride=16), RECORD, CPU)
    for where in (None, lungs):
        predict_stack(network, stack, lungs=where)
        assert len(caplog.messages) > 3 and all(text.startswith("study_0001: ") for text in caplog.messages)
        assert caplog.messages[-1] == "study_0001: 24 of 24 slices" and "about" in caplog.messages[-2]
        caplog.clear()


@pytest.mark.parametrize("changes", [{}, {"mirroring": True}, {"neighbours": 1}, {"precision": "bfloat16"}])
def test_the_fast_way_gives_the_networks_probabilities(changes):
    torch.manual_seed(0)
    neighbours = changes.pop("neighbours", 0)
    module = build_network(MODEL, channels=1 + 2 * neighbours).module.eval()
    network = Network(module, 16, channels=1 + 2 * neighbours)
    record = replace(RECORD, preprocessing=replace(PREPROCESSING, neighbours=neighbours, size=[40, 90]))
    image = np.random.default_rng(0).integers(-1000, 1000, (5, 40, 100)).astype(np.int16)
    stack = SliceStack("study_0001", "axial", image, None, AFFINE, np.array([8, 2, 1.0]))
    lungs = np.zeros(image.shape, np.uint8)
    lungs[1:4, 10:20, 30:50] = 1
    plain = Predictor(network, record, CPU, **changes)
    fast = replace(plain, fast=True)
    assert fast.partial((48, 96)) and plain.partial((48, 96)) is None
    tolerance = 1e-5 if "precision" not in changes else 0.05
    assert predict_stack(fast, stack) == pytest.approx(predict_stack(plain, stack), abs=tolerance)
    near = predict_stack(fast, stack, lungs=lungs)
    assert near == pytest.approx(predict_stack(plain, stack, lungs=lungs), abs=tolerance) and near.any()


class Changing(torch.nn.Module):
    """Stands for a network that cannot be written down: what it does depends on what it sees."""

    def forward(self, image):
        return image * (2 if image.max() > 0 else 1)


def test_a_network_that_cannot_be_written_down_predicts_all_the_same():
    stack = SliceStack("s", "axial", np.full((3, 32, 32), 1, np.int16), None, AFFINE, np.array([8, 2, 1.0]))
    changing = Predictor(Network(Changing(), stride=16), RECORD, CPU, fast=True)
    assert changing.partial((32, 32)) is None and (predict_stack(changing, stack) > 0.5).all()
