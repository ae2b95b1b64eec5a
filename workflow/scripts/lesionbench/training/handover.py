"""What an external method is given: studies as plain NIfTI, a folder for its output, one that survives a kill."""

import csv
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from lesionbench.data.nifti import write_mask, write_volume
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_ct, read_header, read_mask
from lesionbench.data.volume import Grid, match_grid
from lesionbench.files import atomic, read_json, sha256, write_json
from lesionbench.models.programs import LEARNED
from lesionbench.progress import track

logger = logging.getLogger(__name__)

_STATE = "state.json"


@dataclass(frozen=True)
class HandedStudy:
    """A study as it lies in the data set; subset: train, validation, test or external/NAME; mask: of LEARNED alone."""

    name: str
    subset: str
    ct: Path
    mask: Path | None
    reading: Reading


@dataclass(frozen=True)
class JobFolder:
    """The files of one job of an external method, below `folder`; docs/methods.md describes them."""

    folder: Path

    @property
    def job(self) -> Path:
        return self.folder / "job.json"

    @property
    def output(self) -> Path:
        """Where the program leaves masks; gone when they have been taken."""
        return self.folder / "output"

    @property
    def work(self) -> Path:
        """The program's own; it is kept as long as the same training is meant."""
        return self.folder / "work"

    @property
    def scans(self) -> Path:
        """The studies as they are handed over."""
        return self.folder / "scans"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"


def prepare_job(
    files: JobFolder, studies: Sequence[HandedStudy], asked: Mapping[str, Any], program: Any
) -> dict[str, list[str]]:
    """Hand the studies over and write job.json; return the hash of each file that is handed over, by study and kind.

    asked: fold, seed and options, which decide the training, and what decides nothing (threads, device) or the
    predictions alone (probabilities); program: what stands for the program's code.

    The work folder is emptied where it belongs to another training: another program, options, fold or seed, or other
    files of the studies that are learned from. The output folder is, too, where any study differs.
    """
    shutil.rmtree(files.scans, ignore_errors=True)
    rows = [_hand_over(study, files.scans) for study in track(studies, "study", label="handing over")]
    hashes = {
        f"{study.subset}/{study.name}": [sha256(path) for path in paths if path]
        for study, paths in track(zip(studies, rows, strict=True), "study", len(rows), label="hashing")
    }
    learned = {name: found for name, found in hashes.items() if name.startswith(tuple(f"{part}/" for part in LEARNED))}
    training = {"program": program, "studies": learned, **{key: asked[key] for key in ("fold", "seed", "options")}}
    _empty_where_it_differs(files, training, {"studies": hashes, "probabilities": asked["probabilities"]})
    for folder in (files.work, files.output):
        folder.mkdir(parents=True, exist_ok=True)
    table = files.folder / "studies.csv"
    with atomic(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study", "subset", "ct", "mask"])
        writer.writerows(
            [study.name, study.subset, ct, mask or ""] for study, (ct, mask) in zip(studies, rows, strict=True)
        )
    places = {"studies": table, "output": files.output, "work": files.work}
    write_json(files.job, {name: str(path.absolute()) for name, path in places.items()} | dict(asked))
    return hashes


def end_job(files: JobFolder) -> None:
    """Remove what only a running job needs; the work folder stays, so that a further set is predicted by it."""
    for folder in (files.output, files.scans):
        shutil.rmtree(folder, ignore_errors=True)


def _hand_over(study: HandedStudy, folder: Path) -> tuple[Path, Path | None]:
    """Return the files of a study as a program gets them: CT in HU and mask of 0 and 1, .nii.gz of three dimensions.

    A CT that is such a file is linked. Raises UserError, naming the file or study, where one cannot be read or CT and
    mask lie on different grids.
    """
    place = folder.absolute() / study.subset
    place.mkdir(parents=True, exist_ok=True)
    ct = place / f"{study.name}_ct.nii.gz"
    grid = read_header(study.ct, study.reading)
    if _is_plain(study.ct, study.reading, grid):
        ct.symlink_to(study.ct.absolute())
    else:
        volume = read_ct(study.ct, study.reading)
        write_volume(ct, volume.data, volume.affine)
    if study.mask is None:
        return ct, None
    mask = place / f"{study.name}_mask.nii.gz"
    write_mask(mask, match_grid(study.name, grid, read_mask(study.mask, study.reading)).data, grid.affine)
    return ct, mask


def _is_plain(path: Path, reading: Reading, grid: Grid) -> bool:
    """Say whether any reader of NIfTI finds in a file what ours does."""
    if not path.name.endswith(".nii.gz") or reading.window is not None or reading.geometry is not None:
        return False
    image: Any = nib.load(path)
    forms = [image.affine, image.get_sform(coded=True)[0], image.get_qform(coded=True)[0]]
    same = all(np.allclose(form, grid.affine, rtol=0, atol=1e-3) for form in forms if form is not None)
    return image.shape == grid.shape and same


def _empty_where_it_differs(files: JobFolder, training: Mapping[str, Any], prediction: Mapping[str, Any]) -> None:
    state = files.folder / _STATE
    try:
        known = read_json(state)
    except (OSError, ValueError):
        known = {}
    wanted = json.loads(json.dumps({"training": training, "prediction": prediction}))
    if known.get("training") != wanted["training"]:
        old = known.get("training")
        old = old if isinstance(old, dict) else {}
        if changed := [key for key in wanted["training"] if key in old and old[key] != wanted["training"][key]]:
            logger.info("%s is of another training (different: %s). It is emptied.", files.work, ", ".join(changed))
        shutil.rmtree(files.work, ignore_errors=True)
    if known != wanted:
        shutil.rmtree(files.output, ignore_errors=True)
    write_json(state, wanted)


@contextmanager
def offered_device(name: str) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Hold the device that `name` means; yield what a record says of it, and the environment that shows it alone.

    PyTorch is not imported where it means the CPU.
    """
    if name == "cpu":
        yield {"type": "cpu"}, {}
        return
    from lesionbench.training.device import describe, hold_device

    with hold_device(name) as device:
        record = {key: value for key, value in describe(device).items() if key != "peak_memory_bytes"}
        if device.type != "cuda":
            yield record, {}
            return
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        number = visible.split(",")[device.index].strip() if visible else str(device.index)
        yield record, {"CUDA_VISIBLE_DEVICES": number}
