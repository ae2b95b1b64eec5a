"""Reading one CT series from a folder of DICOM slices, as a PACS or an archive gives it.

Headers are read with pydicom, voxels with SimpleITK (GDCM), which unpacks compressed slices. Attributes and their
meaning are those of DICOM PS3.3: the image plane (C.7.6.2), the CT image (C.8.2.1), localizers (C.8.2.1.1.1).
"""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from lesionbench.data.geometry import check_affine
from lesionbench.data.itk import TO_RAS, series_reader, simple_itk, slice_size, voxels
from lesionbench.data.reading import is_dicom
from lesionbench.data.volume import Grid, Volume
from lesionbench.errors import UserError
from lesionbench.files import visible_files
from lesionbench.words import counted, first_few

logger = logging.getLogger(__name__)

_CT = "1.2.840.10008.5.1.4.1.1.2"  # CT Image Storage; those that begin so are multi-frame
# Tags of a fragment of packed voxels, and of what follows the last one.
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
# What slices may lie away from an even row: of the usual step between two, and sideways of a voxel.
_UNEVEN, _ASIDE = 0.25, 0.5
_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "PatientID", "PatientName"),
    *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Rows", "Columns", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "NumberOfFrames"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "BitsAllocated"),
]


@dataclass(frozen=True)
class _Slice:
    """What the header of a file says; what it lacks is empty.

    position (3,) and orientation (6,) are in the patient's system: left, posterior, superior; spacing (2,) is between
    rows and between columns, in mm.
    """

    path: Path
    instance: str
    kind: str
    modality: str
    image_type: tuple[str, ...]
    patient: str
    series: str
    number: str
    description: str
    size: tuple[int, int]
    spacing: tuple[float, ...]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    thickness: float
    rescale: tuple[str, ...]
    unit: str

    @property
    def is_ct(self) -> bool:
        """Whether this is a slice of a CT, and no localizer or picture of a screen."""
        return self.kind.startswith(_CT) and not {"LOCALIZER", "SCREEN SAVE"} & set(self.image_type)

    @property
    def is_multiframe(self) -> bool:
        return self.kind.startswith(f"{_CT}.")


@dataclass(frozen=True)
class Series:
    """A CT series: its UID, its number as text, and the folder that all its slices are below."""

    uid: str
    number: str
    folder: Path


def find_series(files: Iterable[Path], wanted: str | None = None) -> tuple[list[Series], str]:
    """Return the CT series among DICOM files, and in words what else is there; `wanted` as of `read_voxels`.

    A slice that cannot be read counts as one of the series in its folder, whose reader says what is wrong with it.
    Raises UserError where such a folder has no other slice.
    """
    series: dict[str, list[_Slice]] = {}
    broken: dict[Path, UserError] = {}
    for path in files:
        try:
            if piece := _read_slice(path):
                series.setdefault(piece.series, []).append(piece)
        except UserError as error:
            broken.setdefault(path.parent, error)
    scans = [ct for pieces in series.values() if (ct := [piece for piece in pieces if piece.is_ct])]
    others = [pieces for pieces in series.values() if not any(piece.is_ct for piece in pieces)]
    found = [
        Series(ct[0].series, ct[0].number, Path(os.path.commonpath([piece.path.parent for piece in ct])))
        for ct in scans
        if wanted is None or _is_wanted(ct[0], wanted)
    ]
    for folder, problem in broken.items():
        if not any(folder.is_relative_to(one.folder) for one in found):
            raise problem
    return found, _listed(others)


def read_slices(folder: str | Path, series: str | None = None) -> list[Path]:
    """Return the files of the CT series in a folder in the order of the last axis of `read_voxels`."""
    return [piece.path for piece in _find_grid(folder, series)[1]]


def read_header(folder: str | Path, series: str | None = None) -> Grid:
    """Return the grid of the CT series in a folder without reading its voxels. Raises UserError as `read_voxels`."""
    return _find_grid(folder, series)[0]


def read_voxels(folder: str | Path, series: str | None = None) -> Volume:
    """Return the voxels (i, j, k) in HU and the affine of the CT series in a folder, or in the folders in it.

    i grows along a row of a slice, j down its columns, k along the slices by position, whatever their names. `series`
    is the UID, number or description (`*` for any text) of the one to read.

    Raises UserError, naming the folder, where there is no CT series, or several that `series` does not choose from,
    several patients, values without a way to HU, slices that are missing, doubled, of unlike size or direction, or
    askew (gantry tilt), several images a file, or a file that cannot be read.
    """
    grid, slices = _find_grid(folder, series)
    paths = [piece.path for piece in slices]
    for path in paths:  # what GDCM would take memory for
        if (size := slice_size(path)) != grid.shape[:2]:
            raise UserError(
                f"{path}: its header gives two sizes, {grid.shape[0]}×{grid.shape[1]} and {'×'.join(map(str, size))}. "
                "It is damaged: copy the file again."
            )
    try:
        data = voxels(folder, series_reader(folder, paths))
    except UserError:
        for path in paths:
            voxels(path, series_reader(folder, [path]))  # raises for the slice that is at fault
        raise
    if data.shape != grid.shape:
        sizes = " and ".join("×".join(map(str, shape)) for shape in (grid.shape, data.shape))
        raise UserError(f"{folder}: the headers and the voxels of its slices are of other sizes ({sizes}).")
    return Volume(data, grid.affine)


def _find_grid(folder: str | Path, series: str | None) -> tuple[Grid, list[_Slice]]:
    """Return the grid of the chosen series and its slices by position."""
    slices = _choose(folder, _read_slices(folder), series)
    _check_alike(folder, slices)
    rows, columns = slices[0].size
    step_down, step_along = slices[0].spacing
    along, down = np.reshape(slices[0].orientation, (2, 3))
    normal = np.cross(along, down)
    slices = sorted(slices, key=lambda piece: float(normal @ piece.position))
    positions = np.array([piece.position for piece in slices])
    _check_even(folder, positions @ normal)
    step = normal * slices[0].thickness
    if len(slices) > 1:
        step = (positions[-1] - positions[0]) / (len(slices) - 1)
        _check_straight(folder, step, normal, len(slices), min(step_down, step_along))
    affine = np.eye(4)
    affine[:3] = np.array([along * step_along, down * step_down, step, positions[0]]).T
    grid = Grid((columns, rows, len(slices)), TO_RAS @ affine)
    check_affine(folder, grid, "slices")
    return grid, slices


def _read_slices(folder: str | Path) -> list[_Slice]:
    """Return what the headers of all DICOM files below a folder say, each image once."""
    simple_itk(folder)  # tells what to install
    found: dict[tuple[object, ...], _Slice] = {}
    for path in visible_files(folder):
        if is_dicom(path) and (piece := _read_slice(path)):
            # Some anonymisers give all slices one instance UID.
            found.setdefault((piece.instance, piece.series, piece.position), piece)
    if not found:
        raise UserError(
            f"{folder}: this is a folder without any DICOM image. A CT is a NIfTI, NRRD or MetaImage file, or a folder "
            "of DICOM slices."
        )
    return list(found.values())


def _read_slice(path: Path) -> _Slice | None:
    """Return what a file's header says, None where it is no image, such as a dose report or the list of a disc."""
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        # Of the voxels, not read here, only where they lie and how long they are.
        header = pydicom.dcmread(path, specific_tags=[*_TAGS, "PixelData"], defer_size=256, force=True)
        kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", "")
        if not kind or (kind.startswith(_CT) and "Rows" not in header):
            raise ValueError("its header is cut, or none")
        if kind.startswith(_CT) and not _holds_its_voxels(path, header):
            raise ValueError("it holds fewer voxels than its header says")
        return _as_slice(path, header) if "Rows" in header else None
    except Exception as error:  # whatever pydicom raises for bytes that are no DICOM
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be read as DICOM ({reason}). Copy the file again, or remove it.") from error


def _holds_its_voxels(path: Path, header: Any) -> bool:
    """Say whether a file is as long as its header says; GDCM fills up what is missing in one that is not packed."""
    voxels, syntax = header.get_item("PixelData", keep_deferred=True), header.file_meta.get("TransferSyntaxUID")
    if voxels is not None and syntax and syntax.is_encapsulated:
        return _fragments_end(path, voxels.value_tell)
    if voxels is None or (syntax and syntax.is_deflated):
        return voxels is not None
    wanted = header.Rows * header.Columns * header.BitsAllocated // 8
    return bool(wanted <= voxels.length <= path.stat().st_size - voxels.value_tell)


def _fragments_end(path: Path, start: int) -> bool:
    """Say whether the fragments of packed voxels (PS3.5, A.4) follow each other to their end.

    Of a length that leads nowhere GDCM makes as much memory as it claims.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(start)
        while (head := file.read(8))[:4] == _ITEM and len(head) == 8:
            file.seek(int.from_bytes(head[4:], "little"), os.SEEK_CUR)
            if file.tell() > size:
                return False
    return head[:4] == _END


def _as_slice(path: Path, header: Any) -> _Slice:
    def text(name: str) -> str:
        return str(header.get(name) or "").strip()

    def numbers(name: str) -> tuple[float, ...]:
        return tuple(float(number) for number in header.get(name) or ())

    return _Slice(
        path=path,
        instance=text("SOPInstanceUID") or str(path),
        kind=text("SOPClassUID"),
        modality=text("Modality"),
        image_type=tuple(str(part).strip().upper() for part in header.get("ImageType") or ()),
        patient=text("PatientID") or text("PatientName"),
        series=text("SeriesInstanceUID"),
        number=text("SeriesNumber"),
        description=text("SeriesDescription"),
        size=(int(header.Rows), int(header.Columns)),
        spacing=numbers("PixelSpacing"),
        position=numbers("ImagePositionPatient"),
        orientation=numbers("ImageOrientationPatient"),
        thickness=float(header.get("SliceThickness") or 0),
        rescale=tuple(text(name) for name in ("RescaleSlope", "RescaleIntercept") if name in header),
        unit=text("RescaleType").upper(),
    )


def _choose(folder: str | Path, slices: Sequence[_Slice], wanted: str | None) -> list[_Slice]:
    """Return the slices of the one CT series, or of the one that is wanted."""
    if len(patients := sorted({piece.patient for piece in slices} - {""})) > 1:
        raise UserError(
            f"{folder}: it holds images of {counted(len(patients), 'patient')} ({first_few(patients)}). A study is of "
            "one patient: give each a folder."
        )
    series: dict[str, list[_Slice]] = {}
    for piece in slices:
        series.setdefault(piece.series, []).append(piece)
    scans = {uid: ct for uid, pieces in series.items() if (ct := [piece for piece in pieces if piece.is_ct])}
    if not scans:
        raise UserError(f"{folder}: there is no CT series, only {_listed(series.values())}. Give a folder with a CT.")
    chosen = [ct for ct in scans.values() if wanted is None or _is_wanted(ct[0], wanted)]
    if len(chosen) == 1:
        return chosen[0]
    others = [pieces for uid, pieces in series.items() if uid not in scans]
    fitting = "" if wanted is None else f", {len(chosen) or 'none'} of which fit {wanted!r}"
    besides = f"; besides {_listed(others)}" if others else ""
    raise UserError(
        f"{folder}: there are {len(scans)} CT series{fitting}: {_listed(scans.values())}{besides}. Choose one by its "
        "UID, number or description (dataset.series in the configuration, --series of a command)."
    )


def _is_wanted(piece: _Slice, wanted: str) -> bool:
    exactly = wanted in (piece.series, piece.number, piece.description)
    return exactly or fnmatchcase(piece.description.lower(), wanted.lower().replace("[", "[[]"))


def _listed(series: Iterable[Sequence[_Slice]]) -> str:
    """Return series in words: number, description, what they are, number of images, UID."""
    words = []
    for pieces in series:
        first = pieces[0]
        what = "localizer" if "LOCALIZER" in first.image_type else first.modality or "no modality"
        name = f"{first.number or 'without number'} {first.description!r}"
        words.append(f"series {name} ({what}, {counted(len(pieces), 'image')}, {first.series})")
    return "; ".join(sorted(words))


def _check_alike(folder: str | Path, slices: Sequence[_Slice]) -> None:
    """Raise UserError where slices cannot be laid on each other, or their values are no HU."""
    first = slices[0]
    for piece in slices:
        problem = ""
        if piece.is_multiframe:
            problem = "holds several images in one file. Convert the series, for example with dcm2niix"
        elif (len(piece.position), len(piece.orientation), len(piece.spacing)) != (3, 6, 2):
            problem = "lacks its position, orientation or pixel spacing. Leave the file out, or convert the series"
        elif len(piece.rescale) < 2:
            problem = "has no rescale slope and intercept, so that its values cannot become HU. Export the series again"
        elif piece.unit and piece.unit != "US" and not piece.unit.startswith("HU"):
            problem = f"holds values in {piece.unit}, not in HU. Choose the series in HU"
        elif piece.size != first.size or not np.allclose(piece.spacing, first.spacing, rtol=1e-3, atol=0):
            problem = f"is of another size than {first.path.name}. Give each size a folder"
        elif not np.allclose(piece.orientation, first.orientation, rtol=0, atol=1e-3):
            problem = f"lies in another direction than {first.path.name}. Give each direction a folder"
        if problem:
            raise UserError(f"{folder}: the slice {piece.path.name} {problem}.")
    turn = np.reshape(first.orientation, (2, 3))
    if not np.allclose(turn @ turn.T, np.eye(2), rtol=0, atol=1e-3):
        raise UserError(f"{folder}: its slices have an orientation that is no rotation. Export the series again.")


def _check_even(folder: str | Path, depths: np.ndarray) -> None:
    """Raise UserError where slices, at these depths in mm along their normal, are doubled or missing."""
    steps = np.diff(depths)
    usual = float(np.sort(steps)[(steps.size - 1) // 2]) if steps.size else 0.0
    if (steps <= 1e-3).any():
        double = [f"{depth:.4g}" for depth in depths[1:][steps <= 1e-3]]
        raise UserError(
            f"{folder}: {counted(len(double), 'position')} in the series hold two slices (at {first_few(double)} mm). "
            "These are several scans: give each a folder."
        )
    straight = np.linspace(depths[0], depths[-1], len(depths))
    uneven = np.abs(steps - usual) > _UNEVEN * usual
    if uneven.any() or (np.abs(depths - straight) > _UNEVEN * usual).any():
        gaps = [f"{a:.5g} to {b:.5g}" for a, b in zip(depths[:-1][uneven], depths[1:][uneven], strict=True)]
        where = f"from {first_few(gaps)} mm there is another step" if gaps else "the step changes along the series"
        raise UserError(
            f"{folder}: its {len(depths)} slices are not evenly spaced: most lie {usual:.4g} mm apart, and {where}. "
            "Slices may be missing: copy or export the series again, or resample it."
        )


def _check_straight(folder: str | Path, step: np.ndarray, normal: np.ndarray, count: int, voxel: float) -> None:
    """Raise UserError where slices do not lie one upon the other along their normal, as with a tilted gantry."""
    forward = float(step @ normal)
    aside = float(np.linalg.norm(step - forward * normal))
    if aside * (count - 1) > _ASIDE * voxel:
        tilt = np.degrees(np.arctan2(aside, forward))
        raise UserError(
            f"{folder}: each slice is shifted against the next by {aside:.3g} mm (gantry tilt, {tilt:.1f}°). "
            "Resample the series to a straight grid first: dcm2niix does that while it converts."
        )
