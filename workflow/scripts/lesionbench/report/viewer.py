"""A page that shows one study: CT, reference and the masks of all models, in three planes and in 3-D.

It is one HTML file that needs no other file and no network. NiiVue draws the CT (https://niivue.com); what is around it
lies in `workflow/report/viewer`.
"""

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lesionbench.data.volume import PLANES, Volume
from lesionbench.environment import WORKFLOW
from lesionbench.errors import UserError
from lesionbench.evaluation.metrics import MaskPair
from lesionbench.evaluation.scoring import Scoring
from lesionbench.files import atomic
from lesionbench.report.style import SKY, contour_colours
from lesionbench.report.tables import UNDEFINED, format_number

HOME = WORKFLOW / "report" / "viewer"
NIIVUE_VERSION = "0.69.0"
LARGEST = 25_000_000  # bytes of a page
MOST_SOLID = 160  # voxels along an axis in 3-D, which a graphics card without much memory draws fluently
WINDOWS = {"Lung": (-600, 1500), "Soft tissue": (40, 400)}  # HU: level and width
# A byte a voxel: this much finer than the grey values of either window.
_LOWEST, _STEP = -1100, 6  # HU
_AXES = {
    "sagittal": 0,
    "coronal": 1,
    "axial": 2,
}  # across the planes, of an array in the order Right, Anterior, Superior


@dataclass(frozen=True)
class Mask:
    """A mask to show: its name, and where it is lesion on the CT's grid, bool or {0, 1} (i, j, k)."""

    name: str
    data: np.ndarray


@dataclass(frozen=True)
class Shown:
    """What a page shows: a CT in HU, and masks on its grid; reference: what the others are compared with, or None."""

    title: str
    ct: Volume
    masks: Sequence[Mask]
    reference: Mask | None = None
    about: str = ""
    notes: Sequence[str] = ()


def write_viewer(shown: Shown, path: str | Path, largest: int = LARGEST) -> None:
    """Write the page of a study.

    A volume that would take the page above `largest` bytes is halved along its finest axes, as often as it takes; the
    page says so. Raises UserError where even a small one does not fit.
    """
    with atomic(path) as temporary:
        temporary.write_text(render_viewer(shown, largest), encoding="utf-8")


def render_viewer(shown: Shown, largest: int = LARGEST) -> str:
    """Return the page as HTML. Raises UserError as `write_viewer` does."""
    ct = nib.as_closest_canonical(nib.Nifti1Image(_as_bytes(shown.ct.data), shown.ct.affine))
    factor: tuple[int, ...] = (1, 1, 1)
    while True:
        page = _render(shown, ct, factor)
        if len(page) <= largest:
            return page
        sizes = nib.affines.voxel_sizes(ct.affine) * factor
        finer = tuple(int(f) * (2 if size < 1.4 * sizes.min() else 1) for f, size in zip(factor, sizes, strict=True))
        if min(np.divide(ct.shape, finer)) < 2:
            raise UserError(f"{shown.title}: the page would take more than {largest / 1e6:g} MB. Show fewer masks.")
        factor = finer


def _render(shown: Shown, ct: nib.Nifti1Image, factor: tuple[int, ...]) -> str:
    affine = _coarser(ct.affine, factor)
    voxels = np.rint(_blocks(np.asarray(ct.dataobj), factor)).astype(np.uint8)
    contours, masks = [], []
    for mask, colour in _painted(shown):
        contour, packed = _contour(shown, mask, colour, affine, factor)
        contours.append(contour)
        masks.append(packed)
    notes = [*shown.notes, f"CT in steps of {_STEP} HU from {format_number(_LOWEST, 0)} to {_LOWEST + 255 * _STEP} HU."]
    if max(factor) > 1:
        times = "×".join(map(str, factor))
        notes.append(
            f"Downsampled by {times} (right–left, front–back, feet–head) to make the page smaller: CT by means, masks "
            "where at least half of the voxels are lesion. Dice and volumes are those of the full masks."
        )
    scene = {
        "slices": {plane: ct.shape[axis] for plane, axis in _AXES.items()},
        "grid": voxels.shape,
        "factor": factor,
        "windows": WINDOWS,
        "contours": contours,
        "start": _start(shown, ct),
    }
    loader = FileSystemLoader(HOME)
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return jinja.get_template("viewer.html.jinja").render(
        title=shown.title,
        about=shown.about or _describe(shown.ct),
        notes=notes,
        scene=scene,
        dice=shown.reference is not None,
        ct=_pack(voxels, affine, _STEP, _LOWEST),
        solid=_solid(voxels, affine),
        masks=masks,
        version=NIIVUE_VERSION,
        **_parts(),
    )


def _solid(voxels: np.ndarray, affine: np.ndarray) -> str:
    """Return the CT for 3-D as a packed volume, nothing where it is small enough as it is."""
    factor = tuple(-(-size // MOST_SOLID) for size in voxels.shape)
    if max(factor) == 1:
        return ""
    return _pack(np.rint(_blocks(voxels, factor)).astype(np.uint8), _coarser(affine, factor), _STEP, _LOWEST)


def _describe(ct: Volume) -> str:
    size = "×".join(map(str, ct.data.shape))
    return f"{size} voxels of {' × '.join(f'{length:.3g}' for length in ct.spacing)} mm"


@cache
def _parts() -> Mapping[str, Any]:
    """Return what is the same in every page."""

    def read(name: str) -> str:
        return (HOME / name).read_text(encoding="utf-8")

    return {
        "css": read("viewer.css"),
        "js": read("viewer.js"),
        "niivue": _as_text((HOME / "niivue" / "niivue.umd.js").read_bytes()),
        "licence": read("niivue/LICENSE"),
    }


def _painted(shown: Shown) -> list[tuple[Mask, str]]:
    """Return the masks and their colours, the reference first."""
    first = [(shown.reference, SKY)] if shown.reference else []
    return [*first, *zip(shown.masks, contour_colours(len(shown.masks)), strict=True)]


def _contour(
    shown: Shown, mask: Mask, colour: str, affine: np.ndarray, factor: tuple[int, ...]
) -> tuple[dict[str, Any], str]:
    """Return what the page needs to know of a mask, and the smallest box around it as a packed volume.

    affine: of the voxels that are shown. Where nothing is marked there is no volume.
    """
    dice = UNDEFINED
    if shown.reference and mask is not shown.reference:
        dice = format_number(_dice(shown.reference, mask, shown.ct.affine), 2)
    contour = {
        "name": mask.name,
        "colour": colour,
        "dice": "" if mask is shown.reference else dice,
        "ml": format_number(int(np.count_nonzero(mask.data)) * shown.ct.voxel_ml, 1),
        "reference": mask is shown.reference,
    }
    voxels = _blocks(_canonical(mask.data, shown.ct.affine), factor) >= 0.5
    if not voxels.any():
        return contour, ""
    box = tuple(
        slice(int(found[0]), int(found[-1]) + 1)
        for axis in range(3)
        for found in [np.flatnonzero(voxels.any(axis=tuple({0, 1, 2} - {axis})))]
    )
    # With a border of background: NiiVue draws nothing of a volume that is one everywhere.
    inside, origin = np.pad(voxels[box].astype(np.uint8), 1), [part.start - 1 for part in box]
    place = affine.copy()
    place[:3, 3] = nib.affines.apply_affine(affine, origin)
    return contour | {"origin": origin, "size": inside.shape}, _pack(inside, place)


def _dice(reference: Mask, mask: Mask, affine: np.ndarray) -> float:
    pair = MaskPair(Volume(reference.data, affine), Volume(mask.data, affine), "axial", Scoring())
    return pair.of_lesion(2 * pair.both, pair.voxels + pair.predicted)


def _canonical(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return a mask in the order Right, Anterior, Superior."""
    image = nib.as_closest_canonical(nib.Nifti1Image(data.astype(np.uint8), affine))
    return np.asarray(image.dataobj)


def _as_bytes(hu: np.ndarray) -> np.ndarray:
    steps = np.rint((hu.astype(np.float32) - _LOWEST) / _STEP)
    return np.clip(steps, 0, 255).astype(np.uint8)


def _blocks(array: np.ndarray, factor: tuple[int, ...]) -> np.ndarray:
    """Return the mean of each block of voxels; at the far ends a block repeats the last voxel."""
    if max(factor) == 1:
        return array
    missing = [(0, -size % step) for size, step in zip(array.shape, factor, strict=True)]
    padded = np.pad(array, missing, mode="edge")
    parts = [part for size, step in zip(padded.shape, factor, strict=True) for part in (size // step, step)]
    mean: np.ndarray = padded.reshape(parts).mean(axis=(1, 3, 5), dtype=np.float32)
    return mean


def _coarser(affine: np.ndarray, factor: tuple[int, ...]) -> np.ndarray:
    """Return the affine of blocks of voxels."""
    scale = np.diag([*factor, 1.0])
    scale[:3, 3] = (np.array(factor) - 1) / 2
    return np.asarray(affine @ scale)


def _start(shown: Shown, ct: nib.Nifti1Image) -> dict[str, int]:
    """Return the slices that a page opens with: through the middle of the lesion where there is most of it."""
    masks = [mask.data for mask, _ in _painted(shown)]
    marked = next((mask for mask in masks if mask.any()), None)
    if marked is None:
        place = [size // 2 for size in ct.shape]
    else:
        lesion = _canonical(marked, shown.ct.affine)
        k = int(lesion.sum(axis=(0, 1)).argmax())
        i, j = (int(np.median(found)) for found in np.nonzero(lesion[:, :, k]))
        place = [i, j, k]
    # As `data.volume.to_slices` counts them: towards Left, Posterior and Superior.
    numbers = [ct.shape[0] - 1 - place[0], ct.shape[1] - 1 - place[1], place[2]]
    return {plane: numbers[_AXES[plane]] for plane in PLANES}


def _pack(voxels: np.ndarray, affine: np.ndarray, slope: float = 1, intercept: float = 0) -> str:
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_slope_inter(slope, intercept)
    image.header.set_xyzt_units("mm")
    return _as_text(image.to_bytes())


def _as_text(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()
