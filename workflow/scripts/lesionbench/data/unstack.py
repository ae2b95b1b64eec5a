"""From a volume whose slices are of different patients to a study for each slice."""

from pathlib import Path

import numpy as np

from lesionbench.data.nifti import read_voxels, write_volume
from lesionbench.data.reading import scan_stem
from lesionbench.errors import UserError
from lesionbench.progress import track


def unstack(stack: str | Path, mask: str | Path, folder: str | Path) -> int:
    """Write each slice of a NIfTI volume, along its third axis, as a study in a new folder; return their number.

    The CTs are `ct/STACK_001.nii.gz` and so on, the masks, with their labels as they are, `masks/STACK_001.nii.gz`;
    both keep their place in the world. Slices are counted from 1.

    Raises UserError where the folder holds something already, the two are not of one shape, or one cannot be read.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: it is not empty. Give the name of a new folder.")
    images, labels = (read_voxels(path, exact=True) for path in (stack, mask))
    if images.data.shape != labels.data.shape:
        shapes = " and ".join("×".join(map(str, volume.data.shape)) for volume in (images, labels))
        raise UserError(f"{stack} and {mask}: they differ in shape, {shapes}. Give the mask that belongs to the stack.")
    count = int(images.data.shape[2])
    for number in track(range(count), "slice"):
        for kind, volume in (("ct", images), ("masks", labels)):
            affine = volume.affine.copy()
            affine[:3, 3] += number * affine[:3, 2]
            data = np.asarray(volume.data[:, :, number : number + 1])
            write_volume(folder / kind / f"{scan_stem(stack)}_{number + 1:03d}.nii.gz", data, affine)
    return count
