"""Studies and a recipe so small that a training takes a second."""

from functools import partial

import numpy as np

from lesionbench.data.preprocessing import Preprocessing, padded_size
from lesionbench.data.slices import save_stack, stack_slices
from lesionbench.data.volume import Volume
from lesionbench.models.entry import ModelEntry
from lesionbench.training.recipe import Recipe

AFFINE = np.array([[-2.0, 0, 0, 30], [0, 1, 0, -20], [0, 0, 8, -100], [0, 0, 0, 1]])
PREPROCESSING = Preprocessing(plane="axial")
MODEL = ModelEntry("classic-unet", options={"width": 4})
PAD = partial(padded_size, stride=16)  # as networks of that stride pad slices
RECIPE = Recipe(batch_size=4, learning_rate=0.01, max_epochs=4, device="cpu", resident_limit_gb=1)


def make_study(seed, shape=(32, 32, 9)):
    """Return a CT (columns, rows, slices), noisy lung with one dense block, and the mask of the block."""
    random = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    start = random.integers(0, np.maximum(np.array(shape) // 2, 1))
    mask[tuple(slice(low, low + max(size // 3, 1)) for low, size in zip(start, shape, strict=True))] = 1
    ct = random.normal(-800, 100, shape) + 700.0 * mask
    return Volume(ct.astype(np.int16), AFFINE), Volume(mask, AFFINE)


def write_stack(folder, seed, shape=(32, 32, 9), with_mask=True):
    """Write the axial slices of a study as npz and return the path."""
    ct, mask = make_study(seed, shape)
    path = folder / f"study_{seed:04d}.npz"
    save_stack(stack_slices(path.stem, ct, mask if with_mask else None, PREPROCESSING), path)
    return path


def by_study(paths):
    """Return the paths of files of slices by the study's name."""
    return {path.stem: path for path in paths}
