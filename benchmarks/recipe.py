"""The models and the recipe of config.yaml, and a study as large as MosMedData's, or smaller."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lesionbench.data.nifti import write_mask
from lesionbench.data.phantom import write_phantom
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.scans import read_ct, read_mask
from lesionbench.data.slices import SliceStack, stack_slices
from lesionbench.data.studies import Phantom, Study, phantom_studies
from lesionbench.experiment.config import resolve_config
from lesionbench.experiment.rows import Trained, make_rows

REPOSITORY = Path(__file__).parents[1]
SETTINGS: dict[str, Any] = resolve_config(yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8")))
FULL_SIZE, FULL_SLICES = 512, 41


def preprocessing(plane: str) -> Preprocessing:
    """Return the section `preprocessing` of the configuration for a plane."""
    return Preprocessing(**SETTINGS["preprocessing"] | {"plane": plane})


def trained(model: str) -> Trained:
    """Return the network and the recipe of a model of the configuration."""
    row = make_rows(SETTINGS["models"], [model])[model]
    assert isinstance(row, Trained)
    return row


def write_study(folder: Path, size: int = FULL_SIZE, slices: int = FULL_SLICES, studies: int = 1) -> list[Study]:
    """Write synthetic studies of size × size × slices voxels, each a CT and a lesion mask."""
    phantom = Phantom(studies=studies, annotated=studies, size=size, slices=(slices, slices))
    write_phantom(folder, phantom)
    return phantom_studies(folder, phantom)


def cut(study: Study, plane: str) -> SliceStack:
    """Return the slices of a study as the rule `preprocess` cuts them."""
    assert study.ct and study.mask
    return stack_slices(study.name, read_ct(study.ct), read_mask(study.mask), preprocessing(plane))


def write_moved(studies: Iterable[Study], folder: Path) -> None:
    """Write predictions: the reference of each study, moved by five pixels and a slice."""
    for study in studies:
        assert study.mask
        reference = read_mask(study.mask)
        moved = np.roll(reference.data, (5, 5, 1), axis=(0, 1, 2))
        write_mask(folder / f"{study.name}.nii.gz", moved, reference.affine)
