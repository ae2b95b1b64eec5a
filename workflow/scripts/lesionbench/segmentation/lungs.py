"""Lungs from a chest CT without a trained model: thresholds, components, and the shape of the chest.

Shapes are judged on a coarse grid of about 2.5 mm, which is fast at any matrix size; the border between lung and chest
wall is then found on the CT's own voxels. Arrays are (slice, row, column) of the axial plane and grow to the patient's
head, back and left (`data.volume.to_slices`), and nothing but left and right is taken from where they grow to.

The mask is what radiologists draw: parenchyma with its lesions and vessels, without trachea, main bronchi and hilum.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from lesionbench.data.volume import Volume, from_slices, slice_spacing, to_slices

RIGHT, LEFT = 1, 2
LITRES = (1.0, 9.0)  # of both lungs of an adult, deepest breath and emphysema included
LEAST_SHARE = 0.1  # of the larger lung, that the smaller one has

_COARSE_MM = 2.5
_AERATED = -320.0  # HU; lung and ground glass lie below, soft tissue and fat above
_LUNG = -400.0  # HU, halfway from lung to soft tissue
_PURE_AIR = 50.0  # HU above the air around the patient: most of a gut's gas lies below, and little of a lung
_DARK = -300.0  # HU; a slice whose tissue lies below is not in HU
_GAS_ML = 2.0  # of a piece of the gut's gas; a smaller dark piece may be lung
_LEAST_ML = 100.0  # of the largest piece of lung
_PIECE = 0.05  # least share of the largest piece that another one has
_ACROSS = 0.12  # most of a lung that lies on the other side of the body's middle
_AIRWAY_MM2, _AIRWAY_MM = 700.0, 40.0  # largest section and least length of trachea with main bronchi
_CLOSING_MM = 11.0  # bridges vessels and small dense lesions at the pleura
_HOLE_MM2 = 600.0  # a larger hole in a slice may be the liver's dome
_POCKET_MM, _DEPTH_MM = 130.0, 40.0  # longest opening and greatest depth of a dense lesion at the chest wall
_OUTWARD, _OPEN = 0.55, 0.3  # least cosine between a pocket's way out and the body's, and share of such ways
_ISLAND_MM, _ISLAND_ML, _ISLAND_HU = 8.0, 30.0, -900.0  # aerated rests in a dense lesion: distance, size, lowest value
_SQUARE = ndimage.generate_binary_structure(2, 2)[None]
_CROSS = ndimage.generate_binary_structure(2, 1)[None]
_ALONG = np.ones((5, 1, 1), bool)


@dataclass(frozen=True)
class Lungs:
    """Lungs on the grid of their CT.

    mask: uint8 (i, j, k): 0, 1 in the right lung, 2 in the left; failure: why it must not be used, else ""; warning:
    what may be wrong with a mask that can be used, else "".
    """

    mask: np.ndarray
    failure: str = ""
    warning: str = ""


@dataclass(frozen=True)
class _Coarse:
    """The CT on the coarse grid.

    hu (slice, row, column), float32; spacing (3,) in mm; factors: voxels of the CT along each axis of one of these;
    aerated (slice,): the value below which the CT's voxels are air or lung.
    """

    hu: np.ndarray
    spacing: np.ndarray
    factors: tuple[int, ...]
    aerated: np.ndarray

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing)) / 1000


def find_lungs(ct: Volume) -> Lungs:
    """Return the lungs of a chest CT in HU, on any grid, in any orientation of the axes.

    It fails where there is nothing of a lung's density and size, and where both lungs together are no adult's (below 1
    or above 9 litres). It warns where one of them is missing, or far smaller: it may be dense as a whole.
    """
    hu = to_slices(ct.data, ct.affine, "axial")
    coarse = _coarse(hu, slice_spacing(ct.affine, "axial"))
    body = _body(coarse)
    aerated, airways = _lungs_and_airways(coarse, body)
    if not aerated.any():
        nothing = np.zeros(ct.data.shape, np.uint8)
        return Lungs(nothing, "no lungs were found: nothing in the body has their density and size")
    box = _box(aerated, coarse.spacing)
    sides = np.zeros(aerated.shape, np.uint8)
    part = _Coarse(coarse.hu[box], coarse.spacing, coarse.factors, coarse.aerated[box[0]])
    found = _split(aerated[box], body[box], part)
    sides[box] = _with_dense(found, body[box] & ~airways[box], part)
    mask = _refined(hu, sides, airways, coarse)
    return _judged(np.ascontiguousarray(from_slices(mask, ct.affine, "axial")), ct.voxel_ml)


def _judged(mask: np.ndarray, voxel_ml: float) -> Lungs:
    counts = np.bincount(mask.ravel(), minlength=3) * voxel_ml / 1000
    litres, smaller = float(counts[1:].sum()), int(np.argmin(counts[1:])) + 1
    if not LITRES[0] <= litres <= LITRES[1]:
        reason = f"the lungs found are {litres:.2f} litres, those of an adult {LITRES[0]:g} to {LITRES[1]:g}"
        return Lungs(mask, f"{reason}: the scan may show a part of them")
    if counts[smaller] >= LEAST_SHARE * counts[3 - smaller]:
        return Lungs(mask)
    name = {RIGHT: "right", LEFT: "left"}[smaller]
    return Lungs(mask, warning=f"of the {name} lung only {counts[smaller]:.2f} litres were found: it may be dense")


def _coarse(hu: np.ndarray, spacing: np.ndarray) -> _Coarse:
    """Return means over blocks of voxels; what is left at the end of an axis is a block as well."""
    factors = tuple(max(1, int(_COARSE_MM / size + 0.25)) for size in spacing)
    rows, columns = (np.arange(0, length, factor) for length, factor in zip(hu.shape[1:], factors[1:], strict=True))
    sizes = np.outer(*(np.diff(starts, append=n) for starts, n in zip((rows, columns), hu.shape[1:], strict=True)))
    blocks = []
    for start in range(0, len(hu), factors[0]):
        block = hu[start : start + factors[0]].mean(axis=0, dtype=np.float32)
        block = np.add.reduceat(np.add.reduceat(block, rows, axis=0), columns, axis=1)
        blocks.append(block / sizes.astype(np.float32))
    coarse = np.stack(blocks)
    stretch = np.array([_stretch(block) for block in coarse], np.float32)
    coarse = (coarse + 1000) * stretch[:, None, None] - 1000
    return _Coarse(coarse, spacing * factors, factors, (_AERATED + 1000) / stretch - 1000)


def _stretch(hu: np.ndarray) -> float:
    """Return 1, or for a slice that is far too dark for HU what brings its tissue to 0 HU while air stays at -1000.

    Copies of public CTs that went through 8 bits have such slices: each was scaled by its own brightest voxel. Tissue
    is the mean of the brighter of two classes, found by Otsu's criterion (https://doi.org/10.1109/TSMC.1979.4310076).
    """
    counts, edges = np.histogram(np.clip(hu, -1000, 100), 55)
    values = counts * (edges[1:] + edges[:-1]) / 2
    dark, bright = np.cumsum(counts)[:-1], np.cumsum(counts[::-1])[-2::-1]
    mean = np.cumsum(values[::-1])[-2::-1] / np.maximum(bright, 1)
    between = dark * bright * (mean - np.cumsum(values)[:-1] / np.maximum(dark, 1)) ** 2
    tissue = float(mean[np.argmax(between)])
    return 1000 / (tissue + 1000) if -950 < tissue < _DARK else 1.0


def _body(coarse: _Coarse) -> np.ndarray:
    """Return the patient with all that is inside, without the table: the largest piece of tissue, filled."""
    tissue = coarse.hu > _AERATED
    radius = max(1, round(4 / coarse.spacing[2]))
    labels, count = ndimage.label(ndimage.binary_opening(tissue, _CROSS, iterations=radius))
    if not count:
        return np.zeros(tissue.shape, bool)
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    grown = ndimage.binary_dilation(largest, _SQUARE, iterations=radius + 1) & tissue
    return np.stack([ndimage.binary_fill_holes(piece) for piece in grown])


def _lungs_and_airways(coarse: _Coarse, body: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the aerated voxels of lungs, and where none can be: trachea, main bronchi and gas in the gut."""
    aerated = (coarse.hu < _AERATED) & body
    core = ndimage.binary_erosion((coarse.hu < _LUNG) & body, _CROSS, border_value=1)  # parts what touches
    airways = _airways(core, body, coarse.spacing)
    labels, count = ndimage.label(core & ~airways)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    gas = np.bincount(labels[coarse.hu < _level_of_air(coarse.hu, body) + _PURE_AIR], minlength=count + 1) > sizes / 2
    lungs = np.where(gas, 0, sizes)
    if lungs.max() * coarse.voxel_ml < _LEAST_ML:
        return np.zeros_like(core), airways
    gut = gas & (sizes * coarse.voxel_ml > _GAS_ML)
    blocked = ndimage.binary_dilation(airways | gut[labels], _SQUARE)
    chosen = lungs >= _PIECE * lungs.max()
    return ndimage.binary_propagation(chosen[labels] & ~blocked, mask=aerated & ~blocked), blocked


def _level_of_air(hu: np.ndarray, body: np.ndarray) -> float:
    """Return the HU of the air around the patient, or -1000 where there is none."""
    outside = hu[~body & (hu < -800) & (hu >= -1024)]  # what lies below is padding
    return float(np.median(outside)) if outside.size else -1000.0


def _airways(core: np.ndarray, body: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the part of the aerated core that is small in each slice, long, and in the body's middle."""
    small = np.zeros_like(core)
    for piece, found in zip(core, small, strict=True):
        labels, count = ndimage.label(piece)
        sizes = np.bincount(labels.ravel(), minlength=count + 1) * spacing[1] * spacing[2]
        sizes[0] = np.inf
        found[:] = (sizes < _AIRWAY_MM2)[labels]
    # Slices in which the trachea's wall is too thin to be seen are bridged.
    labels, _ = ndimage.label(ndimage.binary_dilation(small, _ALONG), np.ones((3, 3, 3)))
    labels *= small
    across = np.flatnonzero(body.any(axis=(0, 1)))
    best, longest = 0, _AIRWAY_MM
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        length = (box[0].stop - box[0].start) * spacing[0] if box else 0
        if length > longest:
            column = np.nonzero(labels[box] == label)[2].mean() + box[2].start
            if abs(column - np.median(across)) < len(across) / 8:
                best, longest = label, length
    trachea = labels == (best or -1)
    bridged: np.ndarray = trachea | ndimage.binary_closing(trachea, _ALONG)
    return bridged


def _box(mask: np.ndarray, spacing: np.ndarray) -> tuple[slice, ...]:
    """Return the box around a mask with room for what closing it needs."""
    margins = np.ceil(2 * _CLOSING_MM / spacing).astype(int)
    parts = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(part.start - m, 0), part.stop + m) for part, m in zip(parts, margins, strict=True))


def _split(lungs: np.ndarray, body: np.ndarray, coarse: _Coarse) -> np.ndarray:
    """Return RIGHT and LEFT: pieces on one side of the body's middle; what spans both is cut where it is thinnest."""
    middle = np.average(np.arange(body.shape[2]), weights=body[lungs.any(axis=(1, 2))].sum(axis=(0, 1)))
    is_left = np.arange(body.shape[2]) > middle
    depth = ndimage.distance_transform_edt(lungs, coarse.spacing)
    pieces = lungs
    for least in np.arange(0, depth.max(), 1.5):
        labels, count = ndimage.label(depth > least)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        left = np.bincount(labels[..., is_left].ravel(), minlength=count + 1) / np.maximum(sizes, 1)
        large = sizes >= _PIECE * sizes[1:].max()
        large[0] = False
        if (np.minimum(left, 1 - left)[large] < _ACROSS).all():
            pieces = np.where(large, np.where(left > 0.5, LEFT, RIGHT), 0)[labels]
            break
    else:
        pieces = np.where(lungs, np.where(is_left, LEFT, RIGHT), 0)
    return np.where(lungs, _nearest(pieces, coarse.spacing), 0).astype(np.uint8)


def _nearest(labels: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return at each voxel the label of the nearest one that has a label."""
    places = ndimage.distance_transform_edt(labels == 0, spacing, return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(places)])


def _with_dense(sides: np.ndarray, free: np.ndarray, coarse: _Coarse) -> np.ndarray:
    """Return lungs with their vessels and dense lesions; `free` is the body without what cannot be lung."""
    filled = _filled(sides, free, coarse)
    islands = _islands(filled, free, coarse)
    if islands.any():
        filled = _filled(np.where(islands, _nearest(filled, coarse.spacing), filled), free, coarse)
    return filled


def _filled(sides: np.ndarray, free: np.ndarray, coarse: _Coarse) -> np.ndarray:
    filled = sides.copy()
    for side in (RIGHT, LEFT):
        lung = sides == side
        closed = _closed(lung, _CLOSING_MM, coarse.spacing)
        for piece, whole, inside in zip(closed, lung, free, strict=True):
            if whole.any():
                piece |= _pockets(whole, inside, coarse.spacing[1:])
                piece &= inside
                piece |= whole
                piece |= _holes(piece, coarse.spacing[1:])
        filled[ndimage.binary_fill_holes(closed) & (filled == 0)] = side
    return filled


def _islands(filled: np.ndarray, free: np.ndarray, coarse: _Coarse) -> np.ndarray:
    """Return small aerated pieces close to a lung that hold no gas: rests of it within a dense lesion."""
    labels, count = ndimage.label((coarse.hu < _AERATED) & free & (filled == 0))
    near = ndimage.distance_transform_edt(filled == 0, coarse.spacing) < _ISLAND_MM
    good = np.bincount(labels[near], minlength=count + 1) > 0
    good &= np.bincount(labels.ravel(), minlength=count + 1) * coarse.voxel_ml < _ISLAND_ML
    good[labels[coarse.hu < _ISLAND_HU]] = False
    good[0] = False
    return np.asarray(good[labels])


def _closed(mask: np.ndarray, radius: float, spacing: np.ndarray) -> np.ndarray:
    """Return a mask closed with a ball (radius in mm); what lies beyond the array's edge is no background."""
    if not mask.any():
        return mask
    grown = ndimage.distance_transform_edt(~mask, spacing) <= radius
    return grown if grown.all() else np.asarray(ndimage.distance_transform_edt(grown, spacing) > radius)


def _holes(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the small holes of a slice."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
    small = np.bincount(labels.ravel(), minlength=count + 1) * np.prod(spacing) < _HOLE_MM2
    small[0] = False
    return np.asarray(small[labels])


def _pockets(lung: np.ndarray, body: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return what lies between a slice of a lung and the chest wall: dense lesions at the pleura.

    The chest wall is convex, so a dent in a lung that opens outwards is a lesion; one that opens to the middle is
    heart, spine or liver.
    """
    found = np.zeros_like(lung)
    points = np.argwhere(lung) * spacing
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):  # a line, or a point
        return found
    ends = points[hull.simplices]
    outward = ends.mean(axis=1) - np.argwhere(body).mean(axis=0) * spacing
    cosine = (hull.equations[:, :2] * outward).sum(axis=1) / np.maximum(np.linalg.norm(outward, axis=1), 1e-6)
    to_wall = (cosine > _OUTWARD) & (np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) < _POCKET_MM)
    box = ndimage.find_objects(lung.astype(np.uint8))[0]
    pixels = np.moveaxis(np.mgrid[box], 0, -1) * spacing
    depths = -(pixels @ hull.equations[:, :2].T + hull.equations[:, 2])  # (row, column, edge of the hull)
    labels, count = ndimage.label((depths.min(axis=2) > -1e-6) & ~lung[box])
    for label in range(1, count + 1):
        inside = labels == label
        depth = depths[inside]  # (pixel, edge)
        nearest = depth.argmin(axis=1)
        at_hull = nearest[depth.min(axis=1) < spacing.max()]
        openings = np.unique(at_hull)
        if at_hull.size and to_wall[at_hull].mean() > _OPEN and depth[:, openings].min(axis=1).max() < _DEPTH_MM:
            found[box][inside] = to_wall[openings][depth[:, openings].argmin(axis=1)]
    return found


def _refined(hu: np.ndarray, sides: np.ndarray, airways: np.ndarray, coarse: _Coarse) -> np.ndarray:
    """Return the sides on the CT's own voxels: air beside the coarse lungs is lung, and within them all is."""
    if max(coarse.factors) == 1:
        return sides
    near = ndimage.binary_dilation(sides > 0, _SQUARE) & ~airways
    nearest = _nearest(sides, coarse.spacing)
    lung = (sides > 0).astype(np.float32)
    (below, up), *in_plane = (_places(n, factor) for n, factor in zip(hu.shape, coarse.factors, strict=True))
    rows, columns = (np.arange(n) // factor for n, factor in zip(hu.shape[1:], coarse.factors[1:], strict=True))
    mask = np.zeros(hu.shape, np.uint8)
    for k, (low, weight) in enumerate(zip(below, up, strict=True)):
        block = k // coarse.factors[0]
        piece = lung[low] if not weight else lung[low] * (1 - weight) + lung[low + 1] * weight
        if piece.any() or near[block].any():
            inside = _stretched(piece, *in_plane) >= 0.5
            inside |= (hu[k] < coarse.aerated[block]) & near[block][np.ix_(rows, columns)]
            mask[k] = np.where(inside, nearest[block][np.ix_(rows, columns)], 0)
    return mask


def _places(length: int, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return between which coarse voxels those of an axis lie: the lower one, and the weight of the upper."""
    last = -(-length // factor) - 1
    places = np.clip((np.arange(length) + 0.5) / factor - 0.5, 0, last)
    lower = np.clip(places.astype(int), 0, max(last - 1, 0))
    return lower, (places - lower).astype(np.float32)


def _stretched(piece: np.ndarray, rows: tuple[np.ndarray, ...], columns: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return a coarse slice on fine rows and columns, linearly."""
    for lower, weight in (rows, columns):
        upper = np.minimum(lower + 1, len(piece) - 1)
        piece = (piece[lower] * (1 - weight)[:, None] + piece[upper] * weight[:, None]).T
    return piece
