"""Lesion is what has HU between two numbers inside the lungs: the floor that a network must beat (docs/methods.md).

The two numbers are those of the highest mean Dice on the training studies, among all pairs in steps of 25 HU.
"""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import nibabel as nib
import numpy as np
from scipy import ndimage

EDGES = np.arange(-1000, 201, 25)  # HU


def main(path: str) -> None:
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    with Path(job["studies"]).open(newline="", encoding="utf-8") as file:
        studies = list(csv.DictReader(file))
    learned = [study for study in studies if study["subset"] == "train"]
    low, high, dice = best_range([counts(study["ct"], study["mask"]) for study in learned])
    print(f"Lesion is from {low} to below {high} HU: a mean Dice of {dice:.3f} on {len(learned)} training studies.")
    output = Path(job["output"])
    for subset in {study["subset"] for study in studies} - {"train"}:
        (output / subset).mkdir(parents=True, exist_ok=True)
        rows = [(s["study"], predict(s["ct"], low, high, output / subset / f"{s['study']}.nii.gz"))
                for s in studies if s["subset"] == subset]  # fmt: skip
        with (output / subset / "seconds.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("study", "seconds"), *rows])
    record = {"hu_from": low, "hu_below": high, "training_dice": dice}
    (output / "record.json").write_text(json.dumps(record), encoding="utf-8")


def counts(ct: str, mask: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the voxels and the lesion voxels of the lungs in each step of HU, and all lesion voxels."""
    image = nib.load(ct)
    hu, lesion = image.get_fdata(dtype=np.float32), np.asarray(nib.load(mask).dataobj) > 0
    lungs = find_lungs(hu, image.affine)
    voxels, lesions = (np.histogram(hu[where], EDGES)[0] for where in (lungs, lungs & lesion))
    return voxels, lesions, int(lesion.sum())


def best_range(studies: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> tuple[int, int, float]:
    """Return the two edges of the highest mean Dice, and that Dice; the first of equals."""
    mean = np.zeros((len(EDGES), len(EDGES)))
    for voxels, lesions, reference in studies:
        below, hit = (np.concatenate([[0], np.cumsum(steps)]) for steps in (voxels, lesions))
        predicted, both = below - below[:, None], hit - hit[:, None]
        total = np.maximum(predicted, 0) + reference
        mean += np.where(total > 0, 2 * both / np.maximum(total, 1), 1) / len(studies)
    mean[np.tril_indices(len(EDGES))] = -1
    low, high = np.unravel_index(mean.argmax(), mean.shape)
    return int(EDGES[low]), int(EDGES[high]), float(mean[low, high])


def predict(ct: str, low: int, high: int, path: Path) -> float:
    """Write the mask of a study; return the seconds that it took."""
    started = perf_counter()
    image = nib.load(ct)
    hu = image.get_fdata(dtype=np.float32)
    lesion = find_lungs(hu, image.affine) & (hu >= low) & (hu < high)
    nib.save(nib.Nifti1Image(lesion.astype(np.uint8), image.affine), path)
    return round(perf_counter() - started, 4)


def find_lungs(hu: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the lungs with the lesions in them: air inside the body, closed by a ball of 12 mm."""
    air = hu < -320
    # Around the body, and not above or below it: a scan may cut the lungs off there.
    height = np.abs(affine[2, :3]).argmax()
    margins = [(0, 0) if axis == height else (1, 1) for axis in range(3)]
    labels, _ = ndimage.label(np.pad(air, margins, constant_values=True))
    outside = labels == labels[0, 0, 0]
    inside = air & ~outside[tuple(slice(low, -low or None) for low, _ in margins)]
    labels, number = ndimage.label(inside)
    sizes = np.bincount(labels.ravel())[1:]
    lungs = np.isin(labels, 1 + np.flatnonzero(sizes >= max(sizes, default=0) / 5)) if number else inside
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    near = ndimage.distance_transform_edt(~lungs, sampling=spacing) <= 12
    return lungs | (ndimage.distance_transform_edt(near, sampling=spacing) > 12)


if __name__ == "__main__":
    main(sys.argv[1])
