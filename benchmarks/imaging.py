"""Preprocessing and prediction of one study of 512 × 512 × 41 voxels."""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from benchmarks.measure import Row, Setting, alternate, ratios, timed
from benchmarks.recipe import cut, preprocessing, trained, write_study
from lesionbench.data.slices import save_stack
from lesionbench.data.studies import Study
from lesionbench.models.networks import build_network
from lesionbench.segmentation.inference import Predictor, segment
from lesionbench.training.device import autocast, place
from lesionbench.training.record import Record

MODEL = "unet_mobilenet_v2"


def preprocess(setting: Setting) -> Iterator[Row]:
    """The rule `preprocess` less its imports, against nibabel's reading of CT and mask."""
    (study,) = write_study(setting.folder)
    for plane in ("axial", "coronal"):
        contenders = {
            "preprocess": timed(cut_to_file, study, plane, setting.folder / "slices.npz"),
            "read": timed(read_files, study),
        }
        seconds = alternate(contenders, 2 * setting.repetitions)
        yield Row(
            f"preprocess/{plane}",
            "preprocessing of a 512×512×41 study, in times of reading its two NIfTI files",
            "×",
            ratios(seconds, "preprocess", "read"),
            at_most=2,
            note=f"{np.median(seconds['preprocess']):.2f} s against {np.median(seconds['read']):.2f} s",
            seconds=seconds,
        )


def cut_to_file(study: Study, plane: str, path: Path) -> None:
    save_stack(cut(study, plane), path)


def read_files(study: Study) -> None:
    for path in (study.ct, study.mask):
        np.asanyarray(nib.load(path).dataobj)


def predict(setting: Setting) -> Iterator[Row]:
    """`lesionbench segment` of a CT, from file to file, against nothing but the network on ready batches.

    The weights are random, so the threshold is one that leaves the mask nearly as empty as a trained network would.
    """
    (study,) = write_study(setting.folder)
    row = trained(MODEL)
    network = build_network(row.entry)
    place(network.module, setting.device).eval()
    predictor = Predictor(network, Record(row.entry, row.recipe, preprocessing("axial"), {}), setting.device)
    image = torch.from_numpy(cut(study, "axial").image)[:, None].float().to(setting.device) / 1000
    batches = image.split(row.recipe.batch_size)
    amp = autocast(setting.device, row.recipe.precision)

    def bare(count: int = len(batches)) -> None:
        with torch.inference_mode(), amp:
            torch.cat([network.module(batch) for batch in batches[:count]]).cpu()

    bare(1)  # warms up
    contenders = {
        "segment": timed(segment, predictor, study.ct, setting.folder / "mask.nii.gz", 0.999),
        "network": timed(bare),
    }
    seconds = alternate(contenders, max(1, setting.repetitions - 1))
    took = np.median(seconds["segment"])
    yield Row(
        "predict",
        f"segmentation of a 512×512×41 CT by {MODEL}, file to file, in times of the network alone",
        "×",
        ratios(seconds, "segment", "network"),
        note=f"{took:.1f} s, {len(image) / took:.1f} slices/s",
        seconds=seconds,
    )
