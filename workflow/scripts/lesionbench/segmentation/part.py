"""A part of many scans, as a job of the workflow takes it: its lungs, then its masks by one model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lesionbench.data.reading import Reading
from lesionbench.errors import UserError
from lesionbench.segmentation.found_lungs import find_each
from lesionbench.segmentation.inputs import Scan
from lesionbench.segmentation.scan_report import table_of
from lesionbench.words import counted

if TYPE_CHECKING:  # PyTorch takes seconds, and lungs need none
    from lesionbench.segmentation.batch import Ensemble


def find_part_lungs(scans: Sequence[Scan], reading: Reading, basis: str, out: Path) -> pd.DataFrame:
    """Find the lungs of scans into `out` (`found_lungs.find_each`); return a row a scan: scan, path, series.

    Raises UserError, naming all scans that failed, after the others are done.
    """
    _refuse(find_each(scans, reading, basis, out), scans)
    return pd.DataFrame(
        [(scan.name, str(scan.path), scan.series or "") for scan in scans], columns=["scan", "path", "series"]
    )


def segment_part(
    scans: pd.DataFrame, lungs: Path, ensemble: "Ensemble", reading: Reading, basis: str, out: Path
) -> pd.DataFrame:
    """Segment the scans of `find_part_lungs`, whose lungs are in `lungs`; return `scan_report.table_of` their results.

    basis: what decides the masks beside scans, runs and reading. Scans that are finished are kept. Raises UserError,
    naming all scans that failed, after the others are done.
    """
    from lesionbench.segmentation.batch import Wanted, segment_each

    part = [
        Scan(name, Path(path), series or None, lungs / name)
        for name, path, series in scans[["scan", "path", "series"]].itertuples(index=False)
    ]
    _refuse(segment_each(part, ensemble, Wanted(reading=reading, basis=basis), out), part)
    return table_of(out / scan.name for scan in part)


def _refuse(errors: Sequence[str], scans: Sequence[Scan]) -> None:
    if errors:
        found = "\n".join(errors)
        raise UserError(f"{len(errors)} of {counted(len(scans), 'scan')} could not be segmented:\n{found}")
