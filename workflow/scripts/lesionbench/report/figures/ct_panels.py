"""CT slices with reference and predictions, as a radiologist reads them.

Radiological orientation, lung window (centre −600, width 1500 HU), pixels drawn as large as they are in the patient.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_mask
from lesionbench.data.slices import SliceStack, load_stack
from lesionbench.data.studies import find_prediction
from lesionbench.data.volume import to_slices
from lesionbench.report.shown_slices import Pick, lesion_run, middle_study
from lesionbench.report.style import GREY, ORANGE, PAGE, SKY, fold_label, hide_axes, new_figure
from lesionbench.report.tables import format_number

LUNG_WINDOW = (-1350, 150)
STRIP_SLICES = 10
STRIP_STEP_MM = 5
BAR_MM = 50

_GAP = 0.03  # inches between panels
_LEFT = {"axial": "R", "coronal": "R", "sagittal": "A"}  # what lies to the left in radiological orientation
_COLOURS = {"lesion found": "white", "predicted only": ORANGE, "lesion missed": SKY}
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
    figure, ((ct, outline, mask),) = _panel_grid([view.ratio], 3, top=0.24, bottom=0.02, widest=PAGE / 3)
    titles = (f"{stack.study}, {stack.plane} slice {index}", "outline of the reference", "reference")
    for axes, title in zip((ct, outline, mask), titles, strict=True):
        axes.set_title(title, pad=4)
    _draw_ct(ct, view, labelled=True)
    _draw_ct(outline, view)
    if view.reference.any():
        outline.contour(view.reference, [0.5], colors=[ORANGE], linewidths=1)
    _draw_mask(mask, view)
    return figure


def prediction_strip(
    stacks: Mapping[str, str | Path],
    predictions: str | Path,
    slices: pd.DataFrame,
    label: str,
    reading: Reading = AS_IS,
) -> Figure:
    """Draw ten slices of a study with prediction and reference: Figures 6.2, 7.1, 8.3 and 9.3.

    The study is the one of median lesion volume, the run of slices the one with most lesion, so that all models of an
    experiment show the same. Slices are consecutive; where they lie nearer than 5 mm, as coronal ones do, steps of
    about 5 mm are taken, since neighbours would look the same. `slices` are the model's scores a slice, `reading`
    says how the data set is read.
    """
    study = middle_study({str(name): rows["reference_voxels"].sum() for name, rows in slices.groupby("study")})
    voxels = slices[slices["study"] == study].sort_values("slice")["reference_voxels"].tolist()
    stack = load_stack(stacks[study])
    indices = lesion_run(voxels, STRIP_SLICES, max(1, round(STRIP_STEP_MM / stack.spacing[0])))
    views = _views([Pick(study, index) for index in indices], stack, [predictions], [slices], reading)
    half = math.ceil(len(views) / 2)
    figure, grid = _panel_grid([views[0].ratio] * half, 6, top=0.42, aisle=0.15)
    blocks = [*grid[:, :3], *grid[:, 3:]]
    for number, (block, view) in enumerate(zip(blocks, views, strict=False)):
        _draw_ct(block[0], view, labelled=number == 0)
        _write(block[0], f"slice {view.pick.slice}")
        _draw_errors(block[1], view, 0)
        _draw_mask(block[2], view)
    for panel in np.ravel(blocks[len(views) :]):
        panel.set_axis_off()
    for column, title in enumerate(("CT", "prediction", "reference") * 2):
        grid[0, column].set_title(title, pad=3)
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    text = f"{label}: {study}, {stack.plane} slices {indices[0]} to {indices[-1]} of {len(stack.image)}"
    text += f", in steps of {step}" if step > 1 else ""
    figure.text(0.01, 1 - 0.04 / figure.get_figheight(), text, va="top", fontsize=8)
    _legend(figure)
    return figure


def model_grid(views: Sequence[View], labels: Sequence[str]) -> Figure:
    """Draw slices (rows) as CT, reference and each model's prediction (columns): Figures 10.1 and 10.2."""
    if not views:
        figure = new_figure(PAGE, 1)
        figure.text(0.5, 0.5, "No further slice was chosen.", ha="center", va="center")
        return figure
    titles = [fold_label(title, 18, 3) for title in ("CT", "reference", *labels)]
    top = 0.1 + 0.14 * max(title.count("\n") + 1 for title in titles)
    figure, grid = _panel_grid([view.ratio for view in views], len(titles), top, left=0.8)
    for number, (row, view) in enumerate(zip(grid, views, strict=True)):
        _draw_ct(row[0], view, labelled=number == 0)
        _draw_mask(row[1], view)
        for column in range(len(labels)):
            _draw_errors(row[2 + column], view, column)
        text = f"{view.pick.study}\nslice {view.pick.slice}\n{view.pick.kind}"
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
    aisle: float = 0,
    widest: float = 1.3,
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes (rows, columns), laid out so that pictures of these ratios fill them.

    Margins and the aisle between the left and the right half of the columns are in inches.
    """
    room = (PAGE - left - aisle - _GAP * columns) / columns
    width = min(max(room, 0.8), widest)
    heights = [ratio * width for ratio in ratios]
    page = np.array([left + aisle + (width + _GAP) * columns, top + bottom + sum(heights) + _GAP * (len(ratios) - 1)])
    figure = new_figure(*page)
    figure.set_layout_engine("none")
    axes = np.empty((len(ratios), columns), dtype=object)
    for row, height in enumerate(heights):
        y = page[1] - top - sum(heights[: row + 1]) - _GAP * row
        for column in range(columns):
            x = left + column * (width + _GAP) + (aisle if column >= columns / 2 else 0)
            axes[row, column] = figure.add_axes((x / page[0], y / page[1], width / page[0], height / page[1]))
            hide_axes(axes[row, column])
    return figure, axes


def _draw_ct(axes: Axes, view: View, labelled: bool = False) -> None:
    """Draw the CT with a scale bar, and in the first panel of a figure with its length and the patient's side."""
    low, high = LUNG_WINDOW
    axes.imshow(view.image, cmap="gray", vmin=low, vmax=high, aspect=view.spacing[0] / view.spacing[1])
    axes.autoscale(False)  # the bar must not widen a picture smaller than itself
    height, width = view.image.shape
    start, level = 0.05 * width, 0.95 * height
    line: dict[str, Any] = {"color": "white", "linewidth": 1.5, "path_effects": _STROKE}
    axes.plot([start, start + BAR_MM / view.spacing[1]], [level, level], **line)
    if labelled:
        _write(axes, f"{BAR_MM} mm", (0.05, 0.07), ha="left")
        _write(axes, _LEFT[view.plane], (0.03, 0.5), ha="left")


def _draw_mask(axes: Axes, view: View) -> None:
    axes.imshow(view.reference, cmap="gray", vmin=0, vmax=1, aspect=view.spacing[0] / view.spacing[1])


def _draw_errors(axes: Axes, view: View, model: int) -> None:
    """Draw a prediction with its errors, and its Dice in the corner (a dash where both masks are empty)."""
    reference, prediction = view.reference > 0, view.predictions[model] > 0
    picture = np.zeros((*reference.shape, 3))
    cases = (reference & prediction, prediction & ~reference, reference & ~prediction)
    for where, colour in zip(cases, _COLOURS.values(), strict=True):
        picture[where] = to_rgb(colour)
    axes.imshow(picture, aspect=view.spacing[0] / view.spacing[1])
    _write(axes, format_number(view.dice[model], 2))


def _write(axes: Axes, text: str, place: tuple[float, float] = (0.96, 0.04), ha: str = "right") -> None:
    """Write into a picture, at a place in fractions of it."""
    look: dict[str, Any] = {"color": "white", "fontsize": 7, "path_effects": _STROKE}
    axes.text(*place, text, ha=ha, va="bottom", transform=axes.transAxes, **look)


def _legend(figure: Figure) -> None:
    handles = [Patch(facecolor=colour, edgecolor=GREY, label=case) for case, colour in _COLOURS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=3, borderaxespad=0.1, title=None)
