"""Synthetic chest CT with lesions, in MosMedData's layout: for demonstrations, tests and measurements.

The anatomy is drawn from implicit shapes in millimetres, so a study looks the same at any matrix size. All lengths are
in mm and intensities in Hounsfield units. Nothing here is meant to train a model for patients.
"""

import csv
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from lesionbench.data.nifti import write_mask, write_volume
from lesionbench.data.studies import REGISTRY, Phantom, Study, phantom_studies
from lesionbench.data.volume import Volume
from lesionbench.files import atomic
from lesionbench.progress import track

FIELD_OF_VIEW = 360.0
SLICE_SPACING = 8.0
AIR, LUNG, FAT, SOFT_TISSUE = -1000.0, -855.0, -100.0, 45.0


@dataclass(frozen=True)
class _Burden:
    """How much lesion a class has: number and radius in mm (fewest or least, most), share of consolidating lesions."""

    count: tuple[int, int]
    radius: tuple[float, float]
    consolidating: float


# More with each class, and less than the classes mean.
_BURDENS = {
    "CT-0": _Burden((0, 0), (0, 0), 0),
    "CT-1": _Burden((2, 7), (9, 24), 0.3),
    "CT-2": _Burden((9, 14), (14, 32), 0.4),
    "CT-3": _Burden((16, 22), (18, 38), 0.5),
    "CT-4": _Burden((28, 36), (22, 45), 0.5),
}

# Of `graded` phantoms: least and most share of the lungs that lesions reach, well inside what the classes mean: up to
# 25 %, 25–50 %, 50–75 %, above (arXiv:2005.06465).
_SHARES = {"CT-0": (0, 0), "CT-1": (0.02, 0.19), "CT-2": (0.27, 0.43), "CT-3": (0.52, 0.68), "CT-4": (0.79, 0.88)}
_GRADED = _Burden((0, 0), (14, 32), 0.2)


@dataclass(frozen=True)
class _Grid:
    """Coordinates of the voxels, each shaped to broadcast to (i, j, k).

    x (i, j, 1) grows to the patient's left and y (i, j, 1) to the front, from the middle of the body; z (1, 1, k) grows
    to the head from the lowest slice; height is z over the length of the volume, above 0 and below 1.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    height: np.ndarray
    pixel: float

    @property
    def axes(self) -> tuple[np.ndarray, ...]:
        """Positions in mm along i, j and k, each from the first voxel."""
        size = len(self.x)
        in_plane = np.arange(size, dtype=np.float32) * np.float32(self.pixel)
        return in_plane, in_plane, self.z.ravel()


def write_phantom(root: str | Path, phantom: Phantom) -> None:
    """Write the data set that `dataset.phantom` of the config describes, registry included, below `root`.

    The phantom's seed and a study's name determine its scan, whatever other studies there are.
    """
    studies = phantom_studies(root, phantom)
    for study in track(studies, "study"):
        assert study.ct and study.category  # a phantom's studies have both
        ct, mask = synthesise(study.name, study.category, phantom)
        write_volume(study.ct, ct.data, ct.affine)
        if study.mask:
            write_mask(study.mask, mask, ct.affine)
    _write_registry(Path(root, f"{REGISTRY}.csv"), studies)


def synthesise(name: str, category: str, phantom: Phantom) -> tuple[Volume, np.ndarray]:
    """Return a CT (int16, HU, orientation LAS) and its lesion mask (uint8), both (i, j, k)."""
    rng, grid = _begin(name, phantom)
    hu, lung, depth = _draw_thorax(rng, grid)
    burden = _GRADED if phantom.graded else _BURDENS[category]
    share = rng.uniform(*_SHARES[category]) if phantom.graded else None
    mask = _draw_lesions(rng, grid, hu, lung, depth, burden, share)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    hu += rng.uniform(25, 45) * noise
    hu = gaussian_filter(hu, (0.5, 0.5, 0))  # the scanner's blur, and grain in the noise
    affine = np.diag([-grid.pixel, grid.pixel, SLICE_SPACING, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(hu.shape) - 1) / 2)
    return Volume(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), affine), mask


def lungs_of(name: str, phantom: Phantom) -> np.ndarray:
    """Return the lungs (bool) of the study that `synthesise` draws, on its grid: lesions and vessels included."""
    return _draw_thorax(*_begin(name, phantom))[1]


def _begin(name: str, phantom: Phantom) -> tuple[np.random.Generator, _Grid]:
    rng = np.random.default_rng(int(hashlib.sha256(f"{phantom.seed}:{name}".encode()).hexdigest(), 16))
    fewest, most = phantom.slices
    return rng, _make_grid(rng, phantom.size, int(rng.integers(fewest, most + 1)))


def _make_grid(rng: np.random.Generator, size: int, slices: int) -> _Grid:
    """Return the grid of a body of random size, a little off the middle and turned."""
    pixel = FIELD_OF_VIEW / size
    position = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * np.float32(pixel)
    scale = rng.uniform(0.92, 1.03)
    x, y = ((position + np.float32(offset)) / np.float32(scale) for offset in rng.uniform(-6, 6, 2))
    x, y = _turn(x[:, None, None], y[None, :, None], rng.uniform(-4, 4))
    z = np.arange(slices, dtype=np.float32)[None, None] * np.float32(SLICE_SPACING)
    return _Grid(
        x,
        y,
        z,
        (z + np.float32(SLICE_SPACING / 2)) / np.float32(slices * SLICE_SPACING),
        pixel,
    )


def _draw_thorax(rng: np.random.Generator, grid: _Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return intensities without noise, the lungs (bool), and the depth: 0 inside the chest, 1 at the pleura."""
    x, y, h = grid.x, grid.y, grid.height
    wobble = 1 + 0.025 * _smooth_field(rng, grid.axes, 60)
    chest = np.sqrt(np.clip(1 - (np.maximum(h - 0.35, 0) / 0.61) ** 2.5, 1e-4, 1))  # narrows to the apex
    depth = np.hypot(x / 126, (y - 2) / 90) / chest * wobble
    flat = y * np.where(y < 0, 1.08, 1)  # the back, on the table
    body = _ellipse(x, flat, 166, 118, 2.4)
    fat = rng.uniform(10, 20)
    table = np.where(np.abs(y + 123 - x**2 / 1400) < 2.5, -350, AIR)
    hu = np.where(body < 1, FAT, table).astype(np.float32) + np.zeros_like(depth)
    hu[(_ellipse(x, flat, 164 - 1.3 * fat, 117 - fat, 2.4) * wobble) < 1] = SOFT_TISSUE + 5
    texture = _smooth_field(rng, grid.axes, 14)
    hu += np.where(body < 1, 9 * texture, 0)
    lung = _lungs(rng, grid, depth)
    in_lung = np.float32(LUNG + rng.uniform(-15, 25)) - 0.35 * y + 12 * texture  # denser where the blood sinks to
    np.copyto(hu, _with_vessels(rng, grid, in_lung, depth), where=lung)
    _draw_bones(rng, grid, hu, depth * chest - chest)
    _draw_airways(grid, hu, lung)
    return hu, lung, depth


def _lungs(rng: np.random.Generator, grid: _Grid, depth: np.ndarray) -> np.ndarray:
    """Return the lungs: the chest less mediastinum, heart, spine, aorta and what lies below the diaphragm."""
    x, y, h = grid.x, grid.y, grid.height
    hilum = 17 * np.exp(-(((h - 0.56) / 0.16) ** 2) - ((y + 8) / 38) ** 2)
    mediastinum = (21 + hilum) * (1 - 0.75 / (1 + np.exp((38 - y) / 6)))
    size = rng.uniform(0.9, 1.1)
    turned_x, turned_y = _turn(x - 26, y - 24, -35)
    heart = (turned_x / (60 * size)) ** 2 + (turned_y / (45 * size)) ** 2 + ((h - 0.33) / 0.28) ** 2
    spine = np.minimum(_ellipse(x, y + 66, 24, 26), _ellipse(x, y + 88, 40, 10))
    aorta = np.where(h < 0.75, _ellipse(x - 24, y + 46, 13, 13), 2)
    right, left = rng.uniform(0.27, 0.36), rng.uniform(0.22, 0.31)
    dome = np.where(
        x < 0,
        right - 0.34 * (((x + 62) / 66) ** 2 + ((y - 8) / 82) ** 2),
        left - 0.30 * (((x - 57) / 66) ** 2 + ((y - 8) / 82) ** 2),
    )
    solid = (np.abs(x) < mediastinum) | (heart < 1) | (spine < 1) | (aorta < 1)
    lungs: np.ndarray = (depth < 1) & ~solid & (h > np.maximum(dome, 0.05)) & (h < 0.95)
    return lungs


def _with_vessels(rng: np.random.Generator, grid: _Grid, hu: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return lung with vessels: tubes around the lines where two random fields are both zero, thinner to the pleura."""
    across, along = (_smooth_field(rng, grid.axes, 12) for _ in range(2))
    width = 0.11 + 0.40 * np.exp(-((depth / 0.5) ** 2))
    tube = np.exp(-(across**2 + along**2) / width**2)
    with_vessels: np.ndarray = hu + (SOFT_TISSUE - hu) * tube
    return with_vessels


def _draw_bones(rng: np.random.Generator, grid: _Grid, hu: np.ndarray, outside: np.ndarray) -> None:
    """Draw spine, ribs, sternum and shoulder blades; `outside` is the depth beyond the pleura."""
    x, y, z, h = grid.x, grid.y, grid.z, grid.height
    from_back = np.abs(np.arctan2(x / 126, -(y - 2) / 90))
    # Ribs fall from the spine to the front, so an axial slice cuts several of them.
    rib_phase = 2 * np.pi * (z / 30 + 1.1 * from_back + rng.uniform())
    ribs = (outside > 0.02) & (outside < 0.10) & (np.cos(rib_phase) > 0.15) & (h < 0.95)
    marrow = (outside > 0.04) & (outside < 0.08)
    np.copyto(hu, np.where(from_back > 2.4, 160, np.where(marrow, 320, 600)).astype(np.float32), where=ribs)
    body, canal = _ellipse(x, y + 68, 18, 15), _ellipse(x, y + 92, 9, 8)
    arch = (_ellipse(x, y + 92, 15, 14) < 1) | (np.abs(x) < 3.5) & (y < -92) & (y > -106)
    process = (np.abs(np.abs(x) - 22) < 12) & (np.abs(y + 88) < 5) & (np.cos(2 * np.pi * z / 28) > -0.2)
    sternum = (_ellipse(x, y - 96, 20, 6) < 1) & (h > 0.3) & (h < 0.85)
    blade_x, blade_y = _turn(np.abs(x) - 100, y + 70, -40)
    blade = (_ellipse(blade_x, blade_y, 34, 4) < 1) & (h > 0.5)
    for shape, value in (
        (arch | process, 480), (body < 1, 620), (body < 0.72, 210), (canal < 1, 30), (sternum, 380), (blade, 520),
    ):  # fmt: skip
        np.copyto(hu, np.float32(value), where=np.broadcast_to(shape, hu.shape))


def _draw_airways(grid: _Grid, hu: np.ndarray, lung: np.ndarray) -> None:
    """Draw the trachea and, below the carina, the two main bronchi down to the hila."""
    x, y, h = grid.x, grid.y, grid.height
    carina = 0.62
    below = np.maximum(carina - h, 0)
    airway = _ellipse(np.abs(x) - 260 * below, y + 14, 9 - 20 * below, 8.5 - 20 * below) < 1
    np.copyto(hu, np.float32(AIR + 15), where=airway & (h > carina - 0.12) & ~lung)


def _draw_lesions(
    rng: np.random.Generator,
    grid: _Grid,
    hu: np.ndarray,
    lung: np.ndarray,
    depth: np.ndarray,
    burden: _Burden,
    share: float | None,
) -> np.ndarray:
    """Draw ground glass, some of it with a consolidated core, into `hu`, and return its mask (uint8).

    share: of the lungs, which lesions are drawn to reach; None for as many lesions as `burden` says.
    """
    mask = np.zeros(hu.shape, np.uint8)
    inside = np.flatnonzero(lung)
    ragged = np.clip(_smooth_field(rng, grid.axes, 9), -2, 2)
    posterior = -grid.y / 250
    left = int(rng.integers(*burden.count, endpoint=True))
    while left > 0 if share is None else mask.sum() < share * inside.size:
        left -= 1
        candidates = np.unravel_index(rng.choice(inside, 6), hu.shape)
        centre = np.argmax(depth[candidates] + posterior[candidates[0], candidates[1], 0])
        voxel = tuple(int(index[centre]) for index in candidates)
        radii = rng.uniform(*burden.radius) * rng.uniform([0.7, 0.7, 0.6], [1.2, 1.2, 1.0])
        box, growth = _grow(grid, voxel, radii)
        growth = growth + 0.32 * ragged[box]
        inside_box = lung[box]
        target = rng.uniform(-630, -400) + 60 * ragged[box]
        tissue = hu[box] + np.clip(growth / 0.3, 0, 1) * np.clip(target - hu[box], 0, None)
        if rng.random() < burden.consolidating:
            core = np.clip((growth - 0.5) / 0.15, 0, 1)
            tissue += core * np.clip(rng.uniform(-70, 30) - tissue, 0, None)
        np.copyto(hu[box], tissue, where=inside_box)
        mask[box] |= inside_box & (growth > 0.12)
    return mask


def _grow(grid: _Grid, voxel: tuple[int, ...], radii: np.ndarray) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the box that a lesion can fill and, in it, 1 at the lesion's centre falling to 0 at its radii (mm)."""
    away = [np.abs(axis - axis[index]) / radius for axis, index, radius in zip(grid.axes, voxel, radii, strict=True)]
    near = [np.flatnonzero(distance < 1.3) for distance in away]
    box = tuple(slice(indices[0], indices[-1] + 1) for indices in near)
    across, along, up = np.ix_(*(distance[part] for distance, part in zip(away, box, strict=True)))
    return box, 1 - across**2 - along**2 - up**2


def _smooth_field(rng: np.random.Generator, axes: tuple[np.ndarray, ...], scale: float) -> np.ndarray:
    """Return a random field (i, j, k) of mean 0 and variance 1 that changes over about `scale` mm.

    Normal numbers on a coarse grid are spread by Gaussian weights, axis by axis: the same field at any matrix size.
    """
    nodes = [np.arange(-scale, axis[-1] + 2 * scale, scale, dtype=np.float32) for axis in axes]
    field = rng.standard_normal([len(node) for node in nodes], dtype=np.float32)
    for axis, node in zip(axes, nodes, strict=True):
        weights = np.exp(-0.5 * ((node[:, None] - axis) / (0.7 * scale)) ** 2)
        weights /= np.linalg.norm(weights, axis=0)
        field = np.tensordot(field, weights, axes=(0, 0))
    return field


def _ellipse(
    x: np.ndarray, y: np.ndarray, a: float | np.ndarray, b: float | np.ndarray, power: float = 2
) -> np.ndarray:
    """Return a value that is below 1 inside the ellipse of semi-axes a and b; a higher power makes it squarer."""
    return np.abs(x / a) ** power + np.abs(y / b) ** power


def _turn(x: np.ndarray, y: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return x * cosine - y * sine, x * sine + y * cosine


def _write_registry(path: Path, studies: list[Study]) -> None:
    """Write the studies' classes and files as MosMedData does, with the byte-order mark that Excel looks for."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(("study_id", "category", "study_file", "mask_file"))
        for study in studies:
            files = [f"/{file.relative_to(path.parent).as_posix()}" if file else "" for file in (study.ct, study.mask)]
            writer.writerow((int(study.name.removeprefix("study_")), study.category, *files))
