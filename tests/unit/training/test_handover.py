"""What an external method is given: plain files, and a work folder that is kept as long as it means the same."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lesionbench.data.nifti import write_mask, write_volume
from lesionbench.data.reading import AS_IS, Reading
from lesionbench.errors import UserError
from lesionbench.training.handover import HandedStudy, JobFolder, end_job, offered_device, prepare_job
from tiny import AFFINE, make_study

ASKED = {"fold": 0, "seed": 1, "options": {"epochs": 3}, "threads": 2, "device": "cpu", "probabilities": False}
SUBSETS = ("train", "validation", "test", "external/other")


def write_study(folder, seed, subset, suffix=".nii.gz"):
    ct, mask = make_study(seed)
    paths = folder / f"s{seed}{suffix}", folder / f"s{seed}_mask{suffix}"
    write_volume(paths[0], ct.data, ct.affine)
    write_mask(paths[1], mask.data, mask.affine)
    return HandedStudy(f"s{seed}", subset, paths[0], paths[1] if subset in SUBSETS[:2] else None, AS_IS)


@pytest.fixture
def studies(tmp_path):
    return [write_study(tmp_path, seed, subset) for seed, subset in enumerate(SUBSETS)]


@pytest.fixture
def files(tmp_path):
    return JobFolder(tmp_path / "job")


def prepare(files, studies, program="code", **changes):
    """Prepare a job whose last one has left a file in each folder; return which of them are still there."""
    hashes = prepare_job(files, studies, ASKED | changes, program)
    kept = {folder.name for folder in (files.work, files.output) if (folder / "kept").exists()}
    for folder in (files.work, files.output):
        (folder / "kept").touch()
    return kept, hashes


def table(files):
    with (files.folder / "studies.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_job_names_the_studies_and_gives_no_mask_of_those_to_predict(files, studies):
    prepare(files, studies)
    assert [(row["study"], row["subset"]) for row in table(files)] == [
        (f"s{n}", part) for n, part in enumerate(SUBSETS)
    ]
    assert [bool(row["mask"]) for row in table(files)] == [True, True, False, False]
    places = {"studies": files.folder / "studies.csv", "output": files.output, "work": files.work}
    assert json.loads(files.job.read_text()) == {**{name: str(path) for name, path in places.items()}, **ASKED}
    assert files.output.is_dir() and files.work.is_dir()


def test_a_plain_scan_is_linked_and_its_mask_is_binary(files, studies):
    prepare(files, studies)
    row = table(files)[0]
    assert Path(row["ct"]).readlink() == studies[0].ct
    mask = nib.load(row["mask"])
    assert mask.get_data_dtype() == np.uint8 and (np.asarray(mask.dataobj) == make_study(0)[1].data).all()


def grey(folder):
    study = write_study(folder, 0, "train")
    write_volume(study.ct, np.full((32, 32, 9), 255, np.uint8), AFFINE)
    return replace(study, reading=Reading(intensity={"window": [-500, 1500]}))


def four_dimensional(folder):
    study = write_study(folder, 0, "train")
    nib.save(nib.Nifti1Image(np.full((32, 32, 9, 1), 250, np.int16), AFFINE), study.ct)
    return study


def unpacked(folder):
    study = write_study(folder, 0, "train", ".nii")
    write_volume(study.ct, np.full((32, 32, 9), 250, np.int16), AFFINE)
    return study


def in_metres(folder):
    study = write_study(folder, 0, "train")
    image = nib.Nifti1Image(np.full((32, 32, 9), 250, np.int16), np.diag([0.001, 0.001, 0.001, 1]) @ AFFINE)
    image.header.set_xyzt_units("meter")
    nib.save(image, study.ct)
    return study


@pytest.mark.parametrize("make", [grey, four_dimensional, unpacked, in_metres])
def test_any_other_scan_is_converted_to_hu_on_the_same_grid(files, tmp_path, make):
    prepare(files, [make(tmp_path)])
    path = Path(table(files)[0]["ct"])
    image = nib.load(path)
    assert not path.is_symlink() and path.name.endswith(".nii.gz")
    assert image.shape == (32, 32, 9) and image.affine == pytest.approx(AFFINE) and (image.get_fdata() == 250).all()


def test_a_mask_of_labels_in_another_order_of_axes_is_brought_to_the_scan(files, tmp_path):
    study = write_study(tmp_path, 0, "train")
    mask = make_study(0)[1].data
    turned = nib.Nifti1Image((3 * mask + (mask == 0)).astype(np.uint8), AFFINE)
    nib.save(turned.as_reoriented(np.array([[2, 1], [0, -1], [1, -1]])), study.mask)
    prepare(files, [replace(study, reading=Reading(lesion_labels=[3]))])
    handed = nib.load(table(files)[0]["mask"])
    assert (np.asarray(handed.dataobj) == mask).all() and handed.affine == pytest.approx(AFFINE)


def test_a_mask_on_another_grid_is_refused_with_the_study(files, studies):
    write_mask(studies[0].mask, np.zeros((4, 4, 4)), AFFINE)
    with pytest.raises(UserError, match="s0: CT and mask lie on different grids"):
        prepare(files, studies)


def test_a_killed_job_goes_on_with_what_it_left(files, studies):
    prepare(files, studies)
    assert prepare(files, studies, threads=8, device="cuda")[0] == {"work", "output"}


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"fold": 1}, {"options": {"epochs": 4}}, {"program": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_another_training_begins_in_empty_folders_and_says_why(files, studies, caplog, change):
    caplog.set_level("INFO")
    prepare(files, studies)
    assert prepare(files, studies, **change)[0] == set()
    assert f"is of another training (different: {next(iter(change))})" in caplog.text


@pytest.mark.parametrize("number", [0, 1])
def test_a_changed_mask_to_learn_from_empties_the_work_folder(files, studies, number):
    before = prepare(files, studies)[1]
    write_mask(studies[number].mask, np.zeros((32, 32, 9)), AFFINE)
    kept, after = prepare(files, studies)
    assert kept == set()
    assert [name for name in before if before[name] != after[name]] == [f"{SUBSETS[number]}/s{number}"]


def test_a_study_to_learn_from_that_is_gone_empties_the_work_folder(files, studies):
    prepare(files, studies)
    assert prepare(files, studies[1:])[0] == set()


def test_a_further_set_and_a_changed_test_scan_keep_what_was_learned(files, studies, tmp_path):
    prepare(files, studies[:3])
    assert prepare(files, studies)[0] == {"work"}
    write_study(tmp_path, 7, "test").ct.replace(studies[2].ct)
    assert prepare(files, studies)[0] == {"work"}
    assert prepare(files, studies, probabilities=True)[0] == {"work"}


def test_after_the_job_only_the_work_folder_stays(files, studies):
    prepare(files, studies)
    end_job(files)
    assert {path.name for path in files.folder.iterdir()} == {"work", "job.json", "studies.csv", "state.json"}
    assert studies[0].ct.is_file()


def test_the_cpu_is_offered_without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "lesionbench.training.device", None)
    with offered_device("cpu") as (record, environment):
        assert record == {"type": "cpu"} and environment == {}


@pytest.mark.parametrize(("visible", "shown"), [(None, "1"), ("5, 7", "7"), ("GPU-a,GPU-b", "GPU-b")])
def test_a_program_sees_the_gpu_that_is_held_and_no_other(monkeypatch, visible, shown):
    torch = pytest.importorskip("torch")
    from contextlib import nullcontext

    from lesionbench.training import device

    monkeypatch.setattr(device, "hold_device", lambda name: nullcontext(torch.device("cuda", 1)))
    monkeypatch.setattr(device, "describe", lambda device: {"type": "cuda", "name": "A GPU", "peak_memory_bytes": 3})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with offered_device("auto") as (record, environment):
        assert record == {"type": "cuda", "name": "A GPU"} and environment == {"CUDA_VISIBLE_DEVICES": shown}
