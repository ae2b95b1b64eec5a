"""What is wrong, or looks wrong, with a scan and its mask: the checks of one study, each a finding in words.

`docs/check.md` lists all findings with their thresholds and why they are those.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lesionbench.data.volume import Grid, Volume, to_slices
from lesionbench.errors import UserError

ERROR, WARNING = "error", "warning"

# HU (Hounsfield units), and where the peaks of air or lung and of soft tissue or fat lie in a chest CT.
AIR_PEAK, TISSUE_PEAK = (-1100, -700), (-200, 200)
LEAST_RANGE = 300
HIGHEST_AIR = -500  # a CT that has no value below this holds neither air nor lung
LOWEST = -1024  # what lies below it is padding
TRUE_AIR = -920  # below it there is neither lung tissue nor lesion
AERATED = -700  # the median of lungs lies below it, that of lesions above
SHEAR_DEGREES = 1.0
EXTENT_MM = (100, 1500)
OUTSIDE_WARNING, OUTSIDE_ERROR = 0.05, 0.5
LUNG_SHARE_OF_SLICE = 0.6
LUNG_SHARE = 0.9
# Shapes are judged on about this many slices, rows and columns, which is enough for a body and its lungs.
_COARSE = (24, 48, 48)
_FEWEST = 20  # coarse voxels; less says nothing
_IN_PLANE = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))], bool)


@dataclass(frozen=True)
class Finding:
    """What is wrong with a study's file, and what to do.

    severity: "error" stops the workflow, "warning" does not; kind: a short name for machines; study and file are ""
    where it is the data set's.
    """

    severity: str
    kind: str
    study: str
    file: str
    what: str
    remedy: str

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.study, self.file) if part)
        return f"{where}: {self.what}. {self.remedy}"


def of_message(severity: str, kind: str, text: str, study: str = "", file: str = "") -> Finding:
    """Return the finding that an error's or a warning's text tells: "what is wrong. What to do."."""
    what, _, remedy = text.rstrip(".").partition(". ")
    return Finding(severity, kind, study, file, what, remedy or "Nothing, if this is right")


@dataclass(frozen=True)
class Check:
    """What a check says of a file: a finding that does not yet know its study and file."""

    severity: str
    kind: str
    what: str
    remedy: str


def refuse_study(study: str, ct: Volume, mask: Volume) -> None:
    """Raise UserError where a CT (HU) or the lesion mask on its grid has errors."""
    values = [check for check in check_values(ct.data) if check.severity == ERROR]
    axial = (to_slices(volume.data, ct.affine, "axial") for volume in (ct, mask))
    errors = values or [check for check in check_mask(*axial) if check.severity == ERROR]
    if errors:
        raise UserError("\n".join(f"{study}: {error.what}. {error.remedy}." for error in errors))


def check_values(hu: np.ndarray) -> Iterator[Check]:
    """Yield what shows that the values (any shape) of a chest CT are no Hounsfield units, and padding below them."""
    low, high = float(hu.min()), float(hu.max())
    if low == high:
        yield Check(ERROR, "constant", f"every voxel is {low:g}", "Take the right file, or leave the study out")
        return
    some = hu[_steps(hu.shape, (48, 48, 48))]
    padded = low < LOWEST and bool((some[some < LOWEST] == low).mean() > 0.9)
    if problem := _no_hu(some[some > low] if padded else some, low, high):
        yield problem
    if padded and (share := (some == low).mean()) >= 0.001:
        yield Check(
            WARNING,
            "padding",
            f"{share:.1%} of the voxels are padding of {low:g} HU",
            "Nothing, if it lies outside the field of view: preprocessing clips it to air",
        )


def _no_hu(hu: np.ndarray, low: float, high: float) -> Check | None:
    """Return what shows that the values are no HU; `hu` is a sample of them without padding."""
    reach = f"its values reach from {low:g} to {high:g}"
    if low >= 0 and high <= 255:
        return Check(
            ERROR,
            "no-hu",
            f"{reach}: grey values of a window, no HU",
            "Give the scan in HU; where the window is known, dataset.intensity maps the values back",
        )
    if high - low < LEAST_RANGE:
        return Check(ERROR, "no-hu", f"{reach}: too few for HU, from air at -1000 to bone", "Give the scan in HU")
    air, tissue = _peaks(hu)
    peaks = f"air or lung have their peak at {air:g} and soft tissue at {tissue:g}"
    offset = round(tissue - 40, -2)
    air_fits, tissue_fits = _within(air, AIR_PEAK), _within(tissue, TISSUE_PEAK)
    if not air_fits and not tissue_fits and _within(air - offset, AIR_PEAK):
        return Check(
            ERROR,
            "no-hu",
            f"{reach}, {peaks}: they are about {abs(offset):g} too {'high' if offset > 0 else 'low'} for HU",
            "Apply the scanner's rescale intercept (often -1024 or -1000) once, and only once",
        )
    if low > HIGHEST_AIR:
        return Check(
            ERROR, "no-hu", f"{reach}: none is of air or lung (-1000 to -700 HU)", "Give the scan in HU, not clipped"
        )
    if not air_fits:
        return Check(
            ERROR,
            "no-hu",
            f"{peaks}; in HU they are near -1000 to -850 and near 0",
            "Apply the scanner's rescale slope and intercept, or give the scan in HU",
        )
    if not tissue_fits:
        return Check(
            WARNING,
            "little-tissue",
            f"{peaks}, and not near 0",
            "Look at the scan: is it HU, and is more on it than the lungs?",
        )
    return None


def _peaks(hu: np.ndarray) -> tuple[float, float]:
    """Return the modes of the values below and above Otsu's threshold (doi:10.1109/TSMC.1979.4310076), in 10 HU."""
    counts = np.bincount((np.clip(hu, -4000, 3999).astype(np.int16).ravel() + 4000) // 10, minlength=800)
    middle = np.arange(-3995.0, 4000, 10)
    below, weighted = np.cumsum(counts), np.cumsum(counts * middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = weighted / below - (weighted[-1] - weighted) / (below[-1] - below)
        between = np.nan_to_num(below * (below[-1] - below) * apart**2)
    cut = int(np.argmax(between)) + 1
    smooth = np.convolve(counts, [1, 1, 1], "same")
    return float(middle[:cut][np.argmax(smooth[:cut])]), float(middle[cut:][np.argmax(smooth[cut:])])


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def check_grid(grid: Grid) -> Iterator[Check]:
    """Yield what is odd in where a scan's voxels lie."""
    columns = grid.affine[:3, :3] / grid.spacing
    cosine = np.abs(np.triu(columns.T @ columns, 1)).max()
    sheared = float(np.degrees(np.arcsin(min(cosine, 1))))
    if sheared > SHEAR_DEGREES:
        yield Check(
            WARNING,
            "sheared",
            f"its axes are sheared: {sheared:.1f}° from a right angle",
            "Resample the scan to a grid with right angles; distances in mm are wrong on this one",
        )
    axial = to_slices(np.broadcast_to(0, grid.shape), grid.affine, "axial")
    if len(axial) == 1:
        yield Check(
            WARNING, "one-slice", "it has one axial slice only", "Nothing, if so it should be; cut axially alone"
        )
    extents = sorted(count * size for count, size in zip(grid.shape, grid.spacing, strict=True))
    if extents[1] < EXTENT_MM[0] or extents[2] > EXTENT_MM[1]:
        yield Check(
            WARNING,
            "extent",
            f"it is {' × '.join(f'{extent:.4g}' for extent in extents)} mm in size, which no chest CT is",
            "Correct the spacing in its header, which is in mm (NIfTI: pixdim, and sform or qform)",
        )


def check_mask(hu: np.ndarray | None, mask: np.ndarray) -> Iterator[Check]:
    """Yield what is odd in a lesion mask on its CT; both axial slices (slices, height, width); the CT may be None."""
    if not mask.any():
        yield Check(
            WARNING,
            "empty-mask",
            "the mask holds no lesion",
            "Nothing, if the study has none; its Dice is undefined",
        )
    elif hu is not None:
        step = _steps(hu.shape, _COARSE)
        yield from _check_place(np.ascontiguousarray(hu[step]), np.ascontiguousarray(mask[step], dtype=bool))


def _steps(shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(None, None, max(1, round(size / want))) for size, want in zip(shape, wanted, strict=True))


def _check_place(hu: np.ndarray, lesion: np.ndarray) -> Iterator[Check]:
    values = hu[lesion]
    if values.size < _FEWEST:
        return
    outside, inside = _air(hu)
    share = float((outside & lesion & (hu < TRUE_AIR)).sum() / values.size)
    if share > OUTSIDE_WARNING:
        yield Check(
            ERROR if share > OUTSIDE_ERROR else WARNING,
            "outside-body",
            f"{share:.0%} of the lesion lie in the air outside the body",
            "Look at the mask on its scan: it is of another scan, or was flipped or moved",
        )
        return
    lung = inside | lesion
    areas = lung.sum(axis=(1, 2))
    with_lung = areas >= _FEWEST
    covered = lesion.sum(axis=(1, 2))[with_lung] / areas[with_lung]
    if not covered.size or not inside.any():
        return
    if covered.min() > LUNG_SHARE_OF_SLICE and np.median(values) < AERATED:
        yield Check(
            ERROR,
            "lungs",
            f"the mask covers {covered.min():.0%} of the lungs or more in every slice, most of it aerated: "
            "it is a mask of the lungs",
            "Take the mask of the lesions; where one file holds both, dataset.lesion_labels says which label is lesion",
        )
    elif (total := lesion.sum() / lung.sum()) > LUNG_SHARE:
        yield Check(
            WARNING,
            "large-share",
            f"lesion is {total:.0%} of the lungs",
            "Look at the mask on its scan: does it hold more than lesions?",
        )


def _air(hu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where slices hold air that reaches their edge, and where air or lung that does not."""
    labels, count = ndimage.label(hu < HIGHEST_AIR, _IN_PLANE)
    edges = np.concatenate([labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()])
    reaches = np.zeros(count + 1, bool)
    reaches[edges] = True
    reaches[0] = False
    outside = reaches[labels]
    return outside, (labels > 0) & ~outside
