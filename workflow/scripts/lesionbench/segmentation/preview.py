"""A picture of a segmented scan: slices in the lung window, with the contours of lesion and lungs.

Matplotlib is imported where such a picture is drawn: the rest does without it.
"""

from pathlib import Path

import numpy as np

from lesionbench.data.volume import Volume, slice_spacing, to_slices
from lesionbench.errors import UserError
from lesionbench.files import atomic

_ROWS, _COLUMNS = 3, 4
_WINDOW = (-1350, 150)  # HU: the lung window, level -600 and width 1500
_LESION, _LUNGS = "#E69F00", "#56B4E9"  # told apart by colour-blind readers (https://doi.org/10.1038/nmeth.1618)


def refuse_without_matplotlib() -> None:
    """Raise UserError where Matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError(
            "--preview needs matplotlib. Run `pip install matplotlib`, or install lesionbench with the extra `report`."
        ) from error


def write_preview(ct: Volume, lesion: np.ndarray, lungs: np.ndarray | None, title: str, path: str | Path) -> None:
    """Write a PNG of axial slices, from head to feet, in radiological orientation: those with most to see.

    lesion: bool or uint8 (i, j, k) on the CT's grid; lungs: the same, 0 outside, or None.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    hu, marked = (to_slices(array, ct.affine, "axial") for array in (ct.data, lesion))
    inside = marked if lungs is None else to_slices(lungs, ct.affine, "axial")
    _, height, width = slice_spacing(ct.affine, "axial")
    figure = Figure(figsize=(2.6 * _COLUMNS, 2.6 * _ROWS + 0.5), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(_ROWS, _COLUMNS)
    for axis in axes.flat:
        axis.axis("off")
    for axis, k in zip(axes.flat, _shown(marked, inside), strict=False):
        axis.imshow(hu[k], cmap="gray", vmin=_WINDOW[0], vmax=_WINDOW[1], aspect=height / width)
        axis.set_title(f"slice {k + 1} of {len(hu)}", fontsize=8)
        for mask, colour in ((inside[k], _LUNGS), (marked[k], _LESION)):
            if mask.any() and not (mask is inside[k] and lungs is None):
                axis.contour(mask > 0, [0.5], colors=colour, linewidths=0.8)
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _shown(lesion: np.ndarray, inside: np.ndarray) -> list[int]:
    """Return which slices are shown, from head to feet: evenly those with lesion, or with lungs, or all."""
    for mask in (lesion, inside):
        if len(found := np.flatnonzero(mask.any(axis=(1, 2)))):
            break
    else:
        found = np.arange(len(lesion))
    places = np.linspace(0, len(found) - 1, min(len(found), _ROWS * _COLUMNS)).round().astype(int)
    return [int(k) for k in found[places][::-1]]
