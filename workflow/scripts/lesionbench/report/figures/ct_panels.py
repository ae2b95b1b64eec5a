"""CT slices with reference and predictions, as a radiologist reads them.

Radiological orientation, lung window (centre −600, width 1500 HU), pixels drawn as large as they are in the patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_mask
from lesionbench.data.slices import SliceStack, load_stack
from lesionbench.data.studies import find_prediction
from lesionbench.data.volume import to_slices
from lesionbench.report.shown_slices import Pick, lesion_run, middle_study, ranked_studies, study_dice
from lesionbench.report.style import GREY, ORANGE, PAGE, SKY, fold_label, fold_labels, hide_axes, new_figure
from lesionbench.report.tables import format_number

LUNG_WINDOW = (-1350, 150)
STRIP_SLICES = 7
STRIP_STEP_MM = 5
BARS_MM = (50, 20, 10, 5, 2, 1)  # a picture has the longest that fits into it

_GAP = 0.03  # inches between panels
_STEEPEST = 2.0  # a panel's height over its width, however tall its picture
_LINE = 0.14  # inches: the height of a line of text
_MARGIN = 0.8  # inches, for what a row of the grid shows
_LEFT = {"axial": "R", "coronal": "R", "sagittal": "A"}  # what lies to the left in radiological orientation
# The wide contour of the reference shows on both sides of the prediction's where they run together.
_CONTOURS = {"reference": (SKY, 1.2), "prediction": (ORANGE, 0.5)}
_STROKE = [withStroke(linewidth=1.5, foreground="black")]


@dataclass(frozen=True)
class View:
    """One slice: image (height, width) in HU, reference and predictions {0, 1}, Dice of each, row and column mm."""

    pick: Pick
    plane: str
    image: np.ndarray
    reference: np.ndarray
    predictions: tuple[np.ndarray, ...]
    dice: tuple[float, ...]
    spacing: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Height over width in the patient."""
        height, width = self.image.shape
        return float(height * self.spacing[0] / (width * self.spacing[1]))


def example_slice(stacks: Mapping[str, str | Path]) -> Figure:
    """Draw a slice, the reference's outline on it, and the reference: Figures 1.2 and 4.2.

    `stacks` are slices by study; shown is the slice with most lesion of the study of median lesion volume.
    """
    volumes = {}
    for study, path in stacks.items():
        stack = load_stack(path)
        volumes[study] = float(_reference(stack).sum() * stack.spacing.prod())
    stack = load_stack(stacks[middle_study(volumes)])
    index = int(_reference(stack).sum(axis=(1, 2)).argmax())
    (view,) = _views([Pick(stack.study, index)], stack, [], [])
    title = fold_label(f"{stack.study}, {stack.plane} slice {index}", 36, 4)
    titles = (title, "outline of the reference", "reference")
    top = 0.24 + _LINE * title.count("\n")
    figure, ((ct, outline, mask),) = _panel_grid([view.ratio], 3, top, bottom=0.02, widest=PAGE / 3)
    for axes, title in zip((ct, outline, mask), titles, strict=True):
        axes.set_title(title, pad=4)
    _draw_ct(ct, view, labelled=True)
    _draw_ct(outline, view)
    _draw_contour(outline, view.reference, ORANGE, 1)
    _draw_mask(mask, view)
    return figure


def prediction_strip(
    stacks: Mapping[str, str | Path],
    predictions: str | Path,
    slices: pd.DataFrame,
    label: str,
    reading: Reading = AS_IS,
) -> Figure:
    """Draw slices of a model's worst, median and best study by Dice, without and with contours.

    These stand for Figures 6.2, 7.1, 8.3 and 9.3. Of a study the run of slices with most lesion is shown. Slices are
    consecutive; where they lie nearer than 5 mm, as coronal ones do, steps of about 5 mm are taken, since neighbours
    would look the same. `slices` are the model's scores a slice, `reading` says how the data set is read.
    """
    dice = study_dice(slices)
    bands = [
        (kind, _run_of(study, stacks, predictions, slices, reading)) for kind, study in ranked_studies(dice).items()
    ]
    ratios = [views[0].ratio for _, views in bands for _ in range(2)]
    text = fold_label(f"{label}, {bands[0][1][0].plane} slices", 100, 3)
    figure, grid = _panel_grid(ratios, STRIP_SLICES, top=0.2 + _LINE * text.count("\n"), heading=0.2)
    for number, (kind, views) in enumerate(bands):
        upper, lower = grid[2 * number], grid[2 * number + 1]
        for position, (axes, contoured) in enumerate(zip(upper, lower, strict=True)):
            if position >= len(views):
                axes.set_axis_off()
                contoured.set_axis_off()
                continue
            _draw_ct(axes, views[position], labelled=number == position == 0)
            _write(axes, f"slice {views[position].pick.slice}")
            _draw_contours(contoured, views[position], 0)
        study = views[0].pick.study
        title = fold_label(f"{kind}: {study}", 90, 1)
        upper[0].set_title(f"{title}, Dice {format_number(dice[study], 2)}", pad=3, loc="left")
    figure.text(0.01, 1 - 0.04 / figure.get_figheight(), text, va="top", fontsize=8)
    _legend(figure)
    return figure


def _run_of(
    study: str, stacks: Mapping[str, str | Path], predictions: str | Path, slices: pd.DataFrame, reading: Reading
) -> list[View]:
    """Return views of the slices of a study that hold most lesion, about 5 mm apart."""
    stack = load_stack(stacks[study])
    voxels = slices[slices["study"] == study].sort_values("slice")["reference_voxels"].tolist()
    indices = lesion_run(voxels, STRIP_SLICES, max(1, round(STRIP_STEP_MM / stack.spacing[0])))
    return _views([Pick(study, index) for index in indices], stack, [predictions], [slices], reading)


def model_grid(views: Sequence[View], labels: Sequence[str]) -> Figure:
    """Draw slices (rows) as CT, and with each model's contours (columns): Figures 10.1 and 10.2."""
    if not views:
        figure = new_figure(PAGE, 1)
        figure.text(0.5, 0.5, "No further slice was chosen.", ha="center", va="center")
        return figure
    narrow = min(18, int(_panel_width(len(labels) + 1, _MARGIN) * 17.4))  # characters of 7 pt above a panel
    titles = ["CT", *fold_labels(labels, narrow, 3)]
    top = 0.1 + _LINE * max(title.count("\n") + 1 for title in titles)
    studies = [fold_label(view.pick.study, 13, 6) for view in views]
    lowest = _LINE * (3 + max(study.count("\n") for study in studies))
    figure, grid = _panel_grid([view.ratio for view in views], len(titles), top, left=_MARGIN, lowest=lowest)
    for number, (row, view) in enumerate(zip(grid, views, strict=True)):
        _draw_ct(row[0], view, labelled=number == 0)
        for column in range(len(labels)):
            _draw_contours(row[1 + column], view, column)
        text = f"{studies[number]}\nslice {view.pick.slice}\n{view.pick.kind}"
        row[0].text(-0.06, 0.5, text, transform=row[0].transAxes, ha="right", va="center", fontsize=7, linespacing=1.4)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, pad=3, fontsize=7)
    _legend(figure)
    return figure


def read_views(
    picks: Sequence[Pick],
    stacks: Mapping[str, str | Path],
    predictions: Sequence[str | Path],
    slices: Sequence[pd.DataFrame],
    reading: Reading = AS_IS,
) -> list[View]:
    """Read the picked slices with the predictions in each folder, reading each study once.

    `slices` holds the scores a slice that belong to each folder; `reading` says how the data set is read.
    """
    views: dict[Pick, View] = {}
    for study in sorted({pick.study for pick in picks}):
        chosen = [pick for pick in picks if pick.study == study]
        views.update(zip(chosen, _views(chosen, load_stack(stacks[study]), predictions, slices, reading), strict=True))
    return [views[pick] for pick in picks]


def _views(
    picks: Sequence[Pick],
    stack: SliceStack,
    predictions: Sequence[str | Path],
    slices: Sequence[pd.DataFrame],
    reading: Reading = AS_IS,
) -> list[View]:
    """Return views of one study. `predictions` are folders, `slices` the scores of each."""
    masks = [read_mask(find_prediction(folder, stack.study), reading.predicted) for folder in predictions]
    cut = [to_slices(mask.data, mask.affine, stack.plane) for mask in masks]
    dice = [scores[scores["study"] == stack.study].set_index("slice")["dice"] for scores in slices]
    return [
        View(
            pick,
            stack.plane,
            stack.image[pick.slice],
            _reference(stack)[pick.slice],
            tuple(mask[pick.slice] for mask in cut),
            tuple(float(score[pick.slice]) for score in dice),
            (float(stack.spacing[1]), float(stack.spacing[2])),
        )
        for pick in picks
    ]


def _reference(stack: SliceStack) -> np.ndarray:
    return np.zeros(stack.image.shape, np.uint8) if stack.mask is None else stack.mask


def _panel_grid(
    ratios: Sequence[float],
    columns: int,
    top: float,
    bottom: float = 0.25,
    left: float = 0.02,
    heading: float = 0,
    widest: float = 1.3,
    lowest: float = 0.4,
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes (rows, columns), laid out so that pictures of these ratios fill them.

    Margins, the heading above each second row from the first on, and the bounds of a panel's width and height are in
    inches. A picture that is much wider than high, or higher than wide, leaves a part of its panel empty.
    """
    width = _panel_width(columns, left, widest)
    heights = [max(min(ratio, _STEEPEST) * width, lowest) for ratio in ratios]
    above = [heading if row % 2 == 0 else 0 for row in range(len(ratios))]
    page = np.array(
        [left + (width + _GAP) * columns, top + bottom + sum(heights) + sum(above) + _GAP * (len(ratios) - 1)]
    )
    figure = new_figure(*page)
    figure.set_layout_engine("none")
    axes = np.empty((len(ratios), columns), dtype=object)
    for row, height in enumerate(heights):
        y = page[1] - top - sum(heights[: row + 1]) - sum(above[: row + 1]) - _GAP * row
        for column in range(columns):
            x = left + column * (width + _GAP)
            axes[row, column] = figure.add_axes((x / page[0], y / page[1], width / page[0], height / page[1]))
            hide_axes(axes[row, column])
    return figure, axes


def _panel_width(columns: int, margin: float, widest: float = 1.3) -> float:
    """Return the width of each of `columns` panels that share a page with a margin, in inches."""
    return min(max((PAGE - margin - _GAP * columns) / columns, 0.8), widest)


def _draw_ct(axes: Axes, view: View, labelled: bool = False) -> None:
    """Draw the CT with a scale bar, and in the first panel of a figure with its length and the patient's side."""
    low, high = LUNG_WINDOW
    axes.imshow(view.image, cmap="gray", vmin=low, vmax=high, aspect=view.spacing[0] / view.spacing[1])
    axes.autoscale(False)  # the bar must not widen a picture smaller than itself
    height, width = view.image.shape
    bar = next((length for length in BARS_MM if length <= 0.9 * width * view.spacing[1]), BARS_MM[-1])
    start, level = 0.05 * width, 0.95 * height
    line: dict[str, Any] = {"color": "white", "linewidth": 1.5, "path_effects": _STROKE}
    axes.plot([start, start + bar / view.spacing[1]], [level, level], **line)
    if labelled and _is_flat(axes):
        _write(axes, f"{_LEFT[view.plane]}, {bar} mm", (0.05, 0.07), ha="left")
    elif labelled:
        _write(axes, f"{bar} mm", (0.05, 0.07), ha="left")
        _write(axes, _LEFT[view.plane], (0.03, 0.5), ha="left")


def _draw_mask(axes: Axes, view: View) -> None:
    axes.imshow(view.reference, cmap="gray", vmin=0, vmax=1, aspect=view.spacing[0] / view.spacing[1])
    _frame(axes, view.reference)


def _frame(axes: Axes, marked: np.ndarray) -> None:
    """Frame a picture whose coloured pixels (height, width) reach its border, where white would run into the page."""
    border = (marked[0], marked[-1], marked[:, 0], marked[:, -1])
    axes.spines[:].set(visible=any(side.any() for side in border), color=GREY)


def _draw_contours(axes: Axes, view: View, model: int) -> None:
    """Draw the contours of reference and prediction on the CT, and the Dice in the corner (a dash where undefined)."""
    _draw_ct(axes, view)
    for mask, (colour, width) in zip((view.reference, view.predictions[model]), _CONTOURS.values(), strict=True):
        _draw_contour(axes, mask, colour, width)
    _write(axes, format_number(view.dice[model], 2))


def _draw_contour(axes: Axes, mask: np.ndarray, colour: str, width: float) -> None:
    """Draw the outline of a mask, which closes along the picture's border too."""
    if mask.any():
        rows, columns = mask.shape
        place = np.arange(-1, columns + 1), np.arange(-1, rows + 1)
        axes.contour(*place, np.pad(mask, 1), [0.5], colors=[colour], linewidths=width)


def _write(axes: Axes, text: str, place: tuple[float, float] = (0.96, 0.04), ha: str = "right") -> None:
    """Write into a picture, at a place in fractions of it, or below one that has no room."""
    look: dict[str, Any] = {"color": "white", "fontsize": 7, "path_effects": _STROKE}
    x, y, va = (place[0], -0.1, "top") if _is_flat(axes) else (*place, "bottom")
    axes.text(x, y, text, ha=ha, va=va, transform=axes.transAxes, **look)


def _is_flat(axes: Axes) -> bool:
    """Say whether a picture is too low for two lines of text."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    ratio = abs(top - bottom) / abs(right - left) * float(axes.get_aspect())
    return bool(axes.bbox.width / axes.figure.dpi * ratio < 2 * _LINE)


def _legend(figure: Figure) -> None:
    handles = [Line2D([], [], color=colour, linewidth=width, label=of) for of, (colour, width) in _CONTOURS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=3, borderaxespad=0.1, title=None)
