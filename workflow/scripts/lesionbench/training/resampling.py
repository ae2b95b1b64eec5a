"""From a study's slices to those that a network sees, resampled and cropped, and back to the study's own grid.

Used where slices are loaded, so the files of slices, and all scores and figures, are on the scan's own grid.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lesionbench.data.preprocessing import BODY_HU, Preprocessing, Shape
from lesionbench.data.slices import SliceStack


@dataclass(frozen=True)
class Frame:
    """Where the slices that a network sees lie in a study's own.

    own: slices, rows and columns of the study; resampled: the same at `preprocessing.spacing`; rows, columns: what is
    left of those by the crop to `preprocessing.size`.
    """

    own: Shape
    resampled: Shape
    rows: slice
    columns: slice

    @property
    def changes(self) -> bool:
        """Whether a network sees anything else than the study's own slices."""
        return self.resampled != self.own or (self.rows, self.columns) != tuple(map(slice, (0, 0), self.own[1:]))

    def cut(self, voxels: np.ndarray) -> Tensor:
        """Return what a network sees of a study's HU (int16) or mask (uint8), in its type.

        HU are interpolated linearly and rounded; of a mask the nearest voxel is taken. The outer edges of the first and
        the last voxel stay where they are.
        """
        tensor = torch.from_numpy(voxels)
        if self.resampled != self.own and tensor.dtype == torch.uint8:
            tensor = interpolate(tensor[None, None], self.resampled, mode="nearest-exact")[0, 0]
        elif self.resampled != self.own:
            moved = interpolate(tensor[None, None].float(), self.resampled, mode="trilinear")[0, 0]
            tensor = moved.round_().to(tensor.dtype)
        return tensor[:, self.rows, self.columns]

    def restore(self, probability: Tensor) -> Tensor:
        """Return probabilities, float32 in the shape of what `cut` returns, on the study's own grid, linearly.

        It is 0 where the crop left something out.
        """
        whole = probability.new_zeros(self.resampled)
        whole[:, self.rows, self.columns] = probability
        return whole if self.resampled == self.own else interpolate(whole[None, None], self.own, mode="trilinear")[0, 0]

    def spacing(self, own: np.ndarray) -> np.ndarray:
        """Return mm (3,) between slices, rows and columns of what a network sees, from those of the study."""
        return own * np.divide(self.own, self.resampled)


def find_frame(stack: SliceStack, preprocessing: Preprocessing) -> Frame:
    """Return what a network sees of a study. Its slices are all cropped alike, about the centre of the body."""
    own = stack.image.shape
    resampled = preprocessing.resampled(own, stack.spacing.tolist())
    crop = [slice(0, length) for length in resampled[1:]]
    if preprocessing.size:
        centre = _body_centre(stack.image)
        lengths = zip(resampled[1:], preprocessing.size, centre, strict=True)
        crop = [_about(place * length, length, most) for length, most, place in lengths]
    return Frame(own, resampled, *crop)


def _body_centre(image: np.ndarray) -> tuple[float, float]:
    """Return the centre of mass of the body, 0…1 along rows and columns; the middle where there is no body."""
    body = image > BODY_HU
    mass = int(body.sum())
    if not mass:
        return 0.5, 0.5
    counts = (body.sum(axis=(0, 2)), body.sum(axis=(0, 1)))
    rows, columns = (float((np.arange(len(count)) + 0.5) @ count / mass / len(count)) for count in counts)
    return rows, columns


def _about(centre: float, length: int, most: int) -> slice:
    """Return at most `most` of `length` pixels about a centre, as many as there are."""
    start = min(max(round(centre - most / 2), 0), max(length - most, 0))
    return slice(start, start + min(length, most))
