"""What is written of each segmented scan: a report, which also says that its results are whole, and a table of all."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lesionbench.data.frames import write_frame
from lesionbench.files import write_json
from lesionbench.schema import read_checked

REPORT, TABLE = "report.json", "scans.csv"
_MEASURES = (
    "lesion_ml", "lesion_ml_lowest", "lesion_ml_highest", "lungs_ml", "share_involved", "lesion_outside_lungs_ml",
    "right_lesion_ml", "right_lungs_ml", "right_share_involved", "left_lesion_ml", "left_lungs_ml",
    "left_share_involved", "lesion_slices", "slices",
)  # fmt: skip


_TOLD = ("scan", "path", "members", "seconds", "warnings")


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write the report of a scan into the folder of its results."""
    write_json(folder / REPORT, report)


def is_finished(folder: Path, settings: dict[str, Any]) -> bool:
    """Say whether a folder holds the results that runs, settings and scan (`made_by`) make."""
    report = _read(folder)
    if report is None or report["made_by"] != settings or "files" not in report:
        return False
    return all((folder / name).is_file() for name in report["files"])


def write_table(out: Path) -> None:
    """Write a table of all scans that have a report below `out`, a row a scan."""
    table = table_of(path.parent for path in sorted(out.glob(f"*/{REPORT}")))
    if len(table):
        write_frame(table, out / TABLE)


def table_of(folders: Iterable[Path]) -> pd.DataFrame:
    """Return a row for each of some folders of results that has a report."""
    found = (report for folder in folders if (report := _read(folder)))
    reports = [report for report in found if {*_TOLD, *_MEASURES} <= report.keys()]
    return pd.DataFrame(
        {
            "scan": report["scan"],
            "path": report["path"],
            **{name: report[name] for name in _MEASURES},
            "runs": len(report["members"]),
            **report["made_by"].get("operating_point", {}),
            "seconds": report["seconds"],
            "warnings": "; ".join(report["warnings"]),
        }
        for report in reports
    )


def read_report(folder: Path) -> dict[str, Any]:
    """Return the report in a folder of results. Raises OSError or ValueError where there is none, or it is damaged."""
    return read_checked(folder / REPORT, "scan_report")


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        return read_report(folder)
    except (OSError, ValueError):
        return None
