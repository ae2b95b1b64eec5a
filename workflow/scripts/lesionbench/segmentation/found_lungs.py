"""The lungs of scans, found once for all models that segment the scans, and kept in files."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesionbench.data.findings import ERROR, check_values
from lesionbench.data.nifti import write_mask
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_ct
from lesionbench.data.volume import Volume, match_grid
from lesionbench.errors import UserError
from lesionbench.files import sha256, write_json
from lesionbench.progress import track
from lesionbench.schema import read_checked
from lesionbench.segmentation.inputs import Scan
from lesionbench.segmentation.lungs import Lungs, find_lungs
from lesionbench.segmentation.scan_report import REPORT
from lesionbench.words import counted

logger = logging.getLogger(__name__)

LUNGS = "lungs.nii.gz"
_SCHEMA = "lungs_report"


def read_hu(path: Path, reading: Reading, force: bool | None = None) -> Volume:
    """Read a CT in HU. Raises UserError, naming it, where its values are no HU, unless `force`.

    force: None where nobody can ask for it, as in a job.
    """
    ct = read_ct(path, reading)
    if not force:
        refuse_no_hu(str(path), ct, "" if force is None else "; --force segments it all the same")
    return ct


def refuse_no_hu(name: str, ct: Volume, otherwise: str = "") -> None:
    """Raise UserError, naming a scan, where its values are no HU; otherwise: how it is segmented all the same."""
    problem = next((check for check in check_values(ct.data) if check.severity == ERROR), None)
    if problem:
        raise UserError(
            f"{name}: {problem.what}. This is no CT in HU, which a model was trained on. {problem.remedy}{otherwise}."
        )


def find_part_lungs(scans: Sequence[Scan], reading: Reading, basis: str, out: Path) -> pd.DataFrame:
    """Find the lungs of scans into `out` (`find_each`); return a row a scan: scan, path, series.

    Raises UserError, naming all scans that failed, after the others are done.
    """
    refuse_failures(find_each(scans, reading, basis, out), scans)
    rows = [(scan.name, str(scan.path), scan.series or "") for scan in scans]
    return pd.DataFrame(rows, columns=["scan", "path", "series"])


def refuse_failures(errors: Sequence[str], scans: Sequence[Scan]) -> None:
    """Raise UserError with what went wrong with some of the scans, if anything did."""
    if errors:
        found = "\n".join(errors)
        raise UserError(f"{len(errors)} of {counted(len(scans), 'scan')} could not be segmented:\n{found}")


def find_each(scans: Sequence[Scan], reading: Reading, basis: str, out: Path) -> list[str]:
    """Write the lungs of each scan into a folder of its own in `out`; return what went wrong, a line a scan.

    basis: what decides the lungs beside scan and reading, such as a digest of the code. What an earlier call has found
    in the same scan is kept.
    """
    errors = []
    for scan in track(scans, "scan"):
        try:
            _find(scan, reading, basis, out / scan.name)
        except UserError as error:
            errors.append(str(error))
        except OSError as error:
            errors.append(f"{scan}: it cannot be read, or its lungs cannot be written ({error}).")
    return errors


def _find(scan: Scan, reading: Reading, basis: str, folder: Path) -> None:
    own = replace(reading, series=scan.series)
    made_by: dict[str, Any] = {"scan_sha256": sha256(scan.path), "reading": asdict(own), "basis": basis}
    made_by = json.loads(json.dumps(made_by))  # as it is read again
    if _is_finished(folder, made_by):
        return
    (folder / REPORT).unlink(missing_ok=True)
    ct = read_hu(scan.path, own)
    found = find_lungs(ct)
    write_mask(folder / LUNGS, found.mask, ct.affine, ct.forms)
    for problem in filter(None, (found.failure, found.warning)):
        logger.warning("%s: %s.", scan, problem)
    write_json(folder / REPORT, {"failure": found.failure, "warning": found.warning, "made_by": made_by})


def _is_finished(folder: Path, made_by: dict[str, Any]) -> bool:
    try:
        report = read_checked(folder / REPORT, _SCHEMA)
    except (OSError, ValueError):
        return False
    return bool(report["made_by"] == made_by) and (folder / LUNGS).is_file()


def read_found(folder: Path, ct: Volume, reading: Reading) -> Lungs:
    """Return the lungs that `find_each` has left in a folder, on the grid of their CT.

    reading: how the CT was read. Raises UserError where they are missing or damaged.
    """
    try:
        report = read_checked(folder / REPORT, _SCHEMA)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: the lungs that were found there cannot be read ({error}). Delete the folder {folder.parent} "
            "and run the workflow again."
        ) from None
    mask = read_ct(folder / LUNGS, Reading(geometry=reading.geometry))
    on_ct = match_grid(folder.name, ct, mask, names=("CT", "mask of lungs")).data
    return Lungs(on_ct.astype(np.uint8), report["failure"], report["warning"])
