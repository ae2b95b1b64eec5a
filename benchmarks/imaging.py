"""Preprocessing and prediction of one study of 512 × 512 × 41 voxels."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from benchmarks.measure import Row, Setting, alternate, ratios, timed
from benchmarks.recipe import cut, preprocessing, trained, write_study
from lesionbench.data.slices import save_stack
from lesionbench.data.studies import Study
from lesionbench.models.networks import build_network
from lesionbench.segmentation.batch import Ensemble, segment_one
from lesionbench.segmentation.inference import Predictor, segment
from lesionbench.segmentation.point import OperatingPoint
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
    """Whole slices of a CT, from file to file, against nothing but the network on ready batches; and `segment`'s way.

    The weights are random, and the network is made sure of no lesion, as a trained one is nearly everywhere.
    """
    (study,) = write_study(setting.folder)
    row = trained(MODEL)
    network = build_network(row.entry)
    network.module.get_submodule("segmentation_head")[0].bias.data -= 10
    place(network.module, setting.device).eval()
    predictor = Predictor(network, Record(row.entry, row.recipe, preprocessing("axial"), {}), setting.device)
    image = torch.from_numpy(cut(study, "axial").image)[:, None].float().to(setting.device) / 1000
    batches = image.split(row.recipe.batch_size)
    amp = autocast(setting.device, row.recipe.precision)

    def bare(count: int = len(batches)) -> None:
        with torch.inference_mode(), amp:
            torch.cat([network.module(batch) for batch in batches[:count]]).cpu()

    bare(1)  # warms up
    mask = setting.folder / "mask.nii.gz"
    contenders = {"whole": timed(segment, predictor, study.ct, mask), "network": timed(bare)}
    for precision in ("float32", "bfloat16"):
        fast = replace(predictor, precision=precision, fast=True)
        fast.partial(network.padded_size([tuple(image.shape[2:])]))  # once a run, not once a scan
        ensemble = Ensemble([setting.folder], [fast], OperatingPoint())
        contenders[precision] = timed(segment_one, study.ct, mask, ensemble)
    seconds = alternate(contenders, max(1, setting.repetitions - 1))
    took = np.median(seconds["whole"])
    yield Row(
        "predict",
        f"segmentation of a 512×512×41 CT by {MODEL}, file to file, in times of the network alone",
        "×",
        ratios(seconds, "whole", "network"),
        note=f"{took:.1f} s, {len(image) / took:.1f} slices/s",
        seconds=seconds,
    )
    for precision, bar in (("float32", 2), ("bfloat16", 4)):
        yield Row(
            f"segment/{precision}",
            f"`lesionbench segment` of the same CT, in {precision} with the lungs found, against whole slices",
            "×",
            ratios(seconds, "whole", precision),
            at_least=bar if setting.device.type == "cpu" else None,
            note=f"{np.median(seconds[precision]):.1f} s",
        )
