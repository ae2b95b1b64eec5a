"""A scan and masks in files, as a page shows them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lesionbench.data.reading import Reading, scan_stem
from lesionbench.data.scans import read_ct, read_mask
from lesionbench.data.volume import Volume, match_grid
from lesionbench.errors import UserError
from lesionbench.report.viewer import Mask, Shown
from lesionbench.segmentation.inputs import find_scans
from lesionbench.segmentation.scan_report import REPORT, read_report
from lesionbench.words import first_few

# What `lesionbench segment` writes of a scan, and the labels that count.
_WRITTEN = {"Lesion": ("lesion.nii.gz", (1,)), "Lungs": ("lungs.nii.gz", (1, 2))}


def is_segmented(folder: Path) -> bool:
    """Say whether a folder is one that `lesionbench segment --out` has written for a scan."""
    return (folder / REPORT).is_file()


def scan_with_masks(
    path: Path,
    masks: Sequence[str],
    reading: Reading,
    reference: Path | None = None,
    lesion_labels: Sequence[int] | None = None,
) -> Shown:
    """Return a scan with masks, each FILE or NAME=FILE, and with a reference, whose labels may be given.

    Raises UserError where a file cannot be read, the path holds several scans, or a mask lies on another grid.
    """
    if several := sorted(path.glob(f"*/{REPORT}")):
        raise UserError(f"{path}: there are segmented scans in it. Name one: lesionbench view {several[0].parent}")
    scans = find_scans([path], reading.series)
    if len(scans) > 1:
        names = first_few([str(scan) for scan in scans])
        raise UserError(f"{path}: there are {len(scans)} scans, {names}. Give one of them, or choose it by --series.")
    reading = replace(reading, series=scans[0].series)
    ct = read_ct(scans[0].path, reading)
    shown = [read_onto(ct, name, file, reading) for name, file in _named(masks)]
    return Shown(scans[0].name, ct, shown, _reference(ct, reference, reading, lesion_labels))


def segmented_scan(folder: Path, reference: Path | None = None, lesion_labels: Sequence[int] | None = None) -> Shown:
    """Return a scan that `lesionbench segment` has segmented, with its lesions and lungs.

    Raises UserError where its report or the scan is not there, and as `scan_with_masks` does.
    """
    try:
        report = read_report(folder)
        scan, name, series = Path(report["path"]), report["scan"], report["series"]
        intensity, geometry = (report["made_by"]["reading"][key] for key in ("intensity", "geometry"))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{folder / REPORT}: cannot be read as the report of a scan ({error}).") from error
    lesion = folder / _WRITTEN["Lesion"][0]
    if not scan.exists():
        raise UserError(f"{scan}: the scan is no longer there. Say where it is: lesionbench view SCAN {lesion}")
    reading = Reading(intensity=intensity, geometry=geometry, series=series)
    ct = read_ct(scan, reading)
    masks = [
        read_onto(ct, label, folder / file, replace(reading, lesion_labels=labels))
        for label, (file, labels) in _WRITTEN.items()
        if (folder / file).is_file()
    ]
    return Shown(name, ct, masks, _reference(ct, reference, reading, lesion_labels))


def read_onto(ct: Volume, name: str, path: Path, reading: Reading) -> Mask:
    """Return a mask on a CT's grid. Raises UserError where it cannot be read, or lies on another grid."""
    return Mask(name, match_grid(str(path), ct, read_mask(path, reading)).data)


def _reference(ct: Volume, path: Path | None, reading: Reading, labels: Sequence[int] | None) -> Mask | None:
    wanted = None if labels is None else tuple(labels)
    return None if path is None else read_onto(ct, "Reference", path, replace(reading, lesion_labels=wanted))


def _named(masks: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield name and file of masks that are given as FILE or NAME=FILE."""
    for text in masks:
        name, _, file = text.partition("=")
        given = file and not Path(text).exists()
        yield (name, Path(file)) if given else (scan_stem(text), Path(text))
