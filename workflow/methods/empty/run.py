"""The empty mask of each study: the floor of every score. The shortest external method (docs/methods.md)."""

import csv
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np


def main(path: str) -> None:
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    with Path(job["studies"]).open(newline="", encoding="utf-8") as file:
        studies = [row for row in csv.DictReader(file) if row["subset"] != "train"]
    for study in studies:
        ct = nib.load(study["ct"])
        mask = Path(job["output"], study["subset"], f"{study['study']}.nii.gz")
        mask.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.zeros(ct.shape, np.uint8), ct.affine), mask)


if __name__ == "__main__":
    main(sys.argv[1])
