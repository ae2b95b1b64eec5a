"""A part of many scans, as a job of the workflow segments it with one model."""

from pathlib import Path

import pandas as pd

from lesionbench.data.reading import Reading
from lesionbench.segmentation.batch import Ensemble, Wanted, segment_each
from lesionbench.segmentation.found_lungs import refuse_failures
from lesionbench.segmentation.inputs import Scan
from lesionbench.segmentation.scan_report import table_of


def segment_part(
    scans: pd.DataFrame, lungs: Path, ensemble: Ensemble, reading: Reading, basis: str, out: Path
) -> pd.DataFrame:
    """Segment the scans of `find_part_lungs`, whose lungs are in `lungs`; return `scan_report.table_of` their results.

    basis: what decides the masks beside scans, runs and reading. Scans that are finished are kept. Raises UserError,
    naming all scans that failed, after the others are done.
    """
    part = [
        Scan(name, Path(path), series or None, lungs / name)
        for name, path, series in scans[["scan", "path", "series"]].itertuples(index=False)
    ]
    refuse_failures(segment_each(part, ensemble, Wanted(reading=reading, basis=basis), out), part)
    return table_of(out / scan.name for scan in part)
