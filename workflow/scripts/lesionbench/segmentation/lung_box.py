"""The box around the lungs of a CT: where a lesion may be, and so where a probability of lesion says something."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from lesionbench.data.frames import read_frame
from lesionbench.data.preprocessing import BODY_HU
from lesionbench.data.slices import SliceStack
from lesionbench.data.volume import Volume, from_slices
from lesionbench.errors import UserError
from lesionbench.segmentation.lungs import find_lungs

LUNGS, BODY, SCAN = "lungs", "body", "scan"
_ENDS = [f"{axis}_{end}" for axis in "ijk" for end in ("start", "stop")]


@dataclass(frozen=True)
class LungBox:
    """A box on the grid of a CT: of its lungs; of its body where no lungs are found; of the scan where there is none.

    around: which of these; slices: along i, j and k.
    """

    around: str
    slices: tuple[slice, ...]


def find_lung_box(stack: SliceStack) -> LungBox:
    """Return the box of a study from its slices, of any plane."""
    hu = from_slices(stack.image, stack.affine, stack.plane)
    lungs = find_lungs(Volume(hu, stack.affine))
    if not lungs.failure:
        return LungBox(LUNGS, _box(lungs.mask > 0))
    pieces, count = ndimage.label(hu > BODY_HU)
    if not count:
        return LungBox(SCAN, tuple(slice(0, length) for length in hu.shape))
    return LungBox(BODY, _box(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()))


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    found: tuple[slice, ...] = ndimage.find_objects(mask.astype(np.uint8))[0]
    return found


def box_frame(boxes: Iterable[tuple[str, LungBox]]) -> pd.DataFrame:
    """Return the boxes of studies, a row each: study, around, and where they start and stop along i, j and k."""
    rows = [
        [study, box.around, *(end for part in box.slices for end in (part.start, part.stop))] for study, box in boxes
    ]
    return pd.DataFrame(rows, columns=["study", "around", *_ENDS])


def read_boxes(path: str | Path) -> dict[str, LungBox]:
    """Return the boxes by study from a file of `box_frame`. Raises UserError, naming the file, where it is damaged."""
    frame = read_frame(path)
    if missing := {"study", "around", *_ENDS} - set(frame.columns):
        columns = ", ".join(sorted(missing))
        raise UserError(
            f"{path}: columns are missing ({columns}). Delete it and run the workflow again, which rebuilds it."
        )
    ends = frame[_ENDS].to_numpy().astype(int).reshape(len(frame), 3, 2)
    return {
        study: LungBox(around, tuple(slice(int(start), int(stop)) for start, stop in box))
        for study, around, box in zip(frame["study"], frame["around"], ends, strict=True)
    }
