"""Results packed for a reviewer: everything but scans and reference masks, of which the hashes go in."""

import logging
import re
from datetime import UTC, datetime
from pathlib import Path

from lesionbench.capsule.archive import write_archive
from lesionbench.capsule.contents import Finished, files_of, read_finished
from lesionbench.capsule.crate import METADATA, describe
from lesionbench.environment import CHECKOUT, IS_CHECKOUT, WORKFLOW
from lesionbench.errors import UserError
from lesionbench.files import atomic, sha256, visible_files
from lesionbench.progress import track

logger = logging.getLogger(__name__)

REPORT = "report.html"
_CODE = (
    ".py",
    ".smk",
    ".yaml",
    ".rst",
    ".jinja",
    ".js",
    ".css",
    ".csv",
    ".json",
    "",
)  # of the workflow, without caches


def export(folder: Path, capsule: Path, with_report: bool = True) -> int:
    """Pack results into a capsule; return how many files it holds.

    with_report: whether report.html goes in where it was made; its pictures show slices of CT. With pages of the viewer
    it holds whole CTs, and is left out.

    Raises UserError where the results are not finished, or a file that would go in is, byte for byte, a scan or a
    reference mask of the data set.
    """
    results = read_finished(folder)
    files = {f"results/{name}": path for name, path in files_of(results).items()}
    report = folder / REPORT
    if with_report and report.is_file() and not _holds_scans(report):
        files[f"results/{REPORT}"] = report
    _refuse_sources(results, files)
    files |= _workflow()
    metadata = describe(files, results, folder.resolve().name, datetime.now(UTC).date().isoformat())
    with atomic(capsule) as temporary:
        write_archive(temporary, {**files, METADATA: metadata})
    return len(files) + 2


def _holds_scans(report: Path) -> bool:
    """Say, also in a warning, whether a report has pages of the viewer, which hold whole CTs and reference masks."""
    found = re.search(rb"viewer/(worst|median|best|only)\.html", report.read_bytes()) is not None
    if found:
        logger.warning(
            "%s: left out, because its pages to scroll through studies hold whole CTs. To put it in, set "
            "`figures.viewer: false` and make it again.",
            report,
        )
    return found


def _refuse_sources(results: Finished, files: dict[str, Path]) -> None:
    """Refuse a file that is a scan or a reference mask, by the hashes of the inventories."""
    sources: dict[str, tuple[str, str]] = {}
    for external in results.sets:
        for row in results.inventory(external).to_dict("records"):
            # Masks without lesion are alike, whoever made them.
            kinds = ("ct", "mask") if row["lesion_ml"] else ("ct",)
            sources |= {row[f"{kind}_sha256"]: (kind, row["study"]) for kind in kinds if row[f"{kind}_sha256"]}
    for name, path in track(files.items(), "file", label="hashing"):
        if (found := sources.get(sha256(path))) is not None:
            what = "CT" if found[0] == "ct" else "reference mask"
            raise UserError(
                f"{path}: this is the {what} of {found[1]}, byte for byte. A capsule holds no scan and no reference "
                f"mask, so it was not made. It would be {name}: correct where predictions are taken from."
            )


def _workflow() -> dict[str, Path]:
    """Return the files of the workflow and the pins of its packages, by their names in a capsule."""
    if not IS_CHECKOUT:
        raise UserError(
            "A capsule holds the workflow that made the results, which is not in this installation of lesionbench. "
            "Run `lesionbench export` of the environment in which the workflow runs."
        )
    code = [path for path in visible_files(WORKFLOW) if path.suffix in _CODE and "__pycache__" not in path.parts]
    pins = visible_files(CHECKOUT / "envs")
    return {path.relative_to(CHECKOUT).as_posix(): path for path in [*code, *pins]}
