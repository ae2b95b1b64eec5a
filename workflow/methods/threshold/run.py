"""Lesion is what has HU between two numbers inside the lungs: the floor that a network must beat (docs/methods.md).

The two numbers are those of the highest mean Dice on the training studies, among all pairs in steps of 25 HU.
"""

import csv
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import nibabel as nib
import numpy as np

from lesionbench.data.nifti import write_mask
from lesionbench.data.scans import read_ct
from lesionbench.data.volume import Volume
from lesionbench.progress import track
from lesionbench.segmentation.lungs import find_lungs

EDGES = np.arange(-1000, 201, 25)  # HU


def main(path: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    with Path(job["studies"]).open(newline="", encoding="utf-8") as file:
        studies = list(csv.DictReader(file))
    learned = [study for study in studies if study["subset"] == "train"]
    low, high, dice = best_range(
        [counts(study["ct"], study["mask"]) for study in track(learned, "study", label="train")]
    )
    print(f"Lesion is from {low} to below {high} HU: a mean Dice of {dice:.3f} on {len(learned)} training studies.")
    output = Path(job["output"])
    for subset in {study["subset"] for study in studies} - {"train"}:
        (output / subset).mkdir(parents=True, exist_ok=True)
        rows = [(s["study"], predict(s["ct"], low, high, output / subset / f"{s['study']}.nii.gz"))
                for s in track([s for s in studies if s["subset"] == subset], "study", label=subset)]  # fmt: skip
        with (output / subset / "seconds.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("study", "seconds"), *rows])
    record = {"hu_from": low, "hu_below": high, "training_dice": dice}
    (output / "record.json").write_text(json.dumps(record), encoding="utf-8")


def counts(path: str, mask: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the voxels and the lesion voxels of the lungs in each step of HU, and all lesion voxels."""
    ct, lesion = read_ct(path), np.asarray(nib.load(mask).dataobj) > 0
    lungs = lungs_of(path, ct)
    voxels, lesions = (np.histogram(ct.data[where], EDGES)[0] for where in (lungs, lungs & lesion))
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


def predict(path: str, low: int, high: int, output: Path) -> float:
    """Write the mask of a study; return the seconds that it took."""
    started = perf_counter()
    ct = read_ct(path)
    write_mask(output, lungs_of(path, ct) & (ct.data >= low) & (ct.data < high), ct.affine)
    return round(perf_counter() - started, 4)


def lungs_of(path: str, ct: Volume) -> np.ndarray:
    """Return where the lungs of a CT are; where none are found, nothing can be lesion."""
    lungs = find_lungs(ct)
    if problem := lungs.failure or lungs.warning:
        print(f"{Path(path).name}: {problem}.")
    return lungs.mask > 0


if __name__ == "__main__":
    main(sys.argv[1])
