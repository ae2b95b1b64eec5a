"""The look of every figure, and how it is saved: the same bytes for the same content."""

import textwrap
import warnings
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from unicodedata import combining, east_asian_width

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from lesionbench.files import atomic
from lesionbench.report.figure_page import figure_page
from lesionbench.report.fonts import add_fonts

# Okabe and Ito's palette, distinct for colour-blind readers: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, SKY, VERMILLION, PURPLE = (
    "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7",
)  # fmt: skip
YELLOW = "#F0E442"  # of the same palette, for dark grounds
INK, GREY, PALE = "#222222", "#767676", "#D9D9D9"

COLUMN, PAGE = 3.5, 7.2  # inches: the width of a journal's column and page
PIXELS = 220  # of a screen for an inch, at most

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that text looks the same everywhere
    "text.parse_math": False,  # labels and names of studies are text, also between two dollar signs
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "svg.hashsalt": "lesionbench",
}
_METADATA = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {"Software": None}}

matplotlib.rcParams.update(_STYLE)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches. It belongs to no window and no global state."""
    return Figure(figsize=(width, height))


def fold_label(label: str, width: int = 36, lines: int = 2) -> str:
    """Return a label broken into at most `lines` lines of `width` characters; an ellipsis stands for the rest.

    A Chinese, Japanese or Korean character takes the width of two.
    """
    columns = sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in label)
    width = max(3, width * len(label) // max(columns, 1))
    rows = textwrap.wrap(label, width)
    if len(rows) > lines:
        # By `max_lines`, textwrap would drop all of a word that is longer than a line.
        last = rows[lines - 1]
        if len(last) + 2 > width:
            last = last[: width - 2].rpartition(" ")[0] or last[: width - 2]
        rows = [*rows[: lines - 1], f"{last} …"]
    return "\n".join(rows)


def fold_labels(labels: Iterable[str], width: int = 36, lines: int = 2) -> list[str]:
    """Return labels as `fold_label` does, with as many more lines as it takes to tell them apart."""
    labels = list(labels)
    folded = [fold_label(label, width, lines) for label in labels]
    apart = len(set(folded)) == len({" ".join(label.split()) for label in labels})
    return folded if apart else fold_labels(labels, width, lines + 1)


def most_lines(labels: Sequence[str], columns: int | None = None) -> int:
    """Return the most lines that one of some folded labels has, or that a column of a legend has in `columns`."""
    lines = [label.count("\n") + 1 for label in labels]
    if columns is None:
        return max(lines)
    rows = -(-len(lines) // columns)
    return max(sum(lines[start : start + rows]) for start in range(0, len(lines), rows))


def marks(count: int) -> Sequence[tuple[str, str]]:
    """Return a colour and a shape each for `count` things, which differ for colour-blind readers too."""
    colours, shapes = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, INK), "osD^vPX"
    return [(colours[number % len(colours)], shapes[number % len(shapes)]) for number in range(count)]


def contour_colours(count: int) -> list[str]:
    """Return the colours of `count` models for contours on CT: those of `marks`, where INK would not be seen."""
    return [YELLOW if colour == INK else colour for colour, _ in marks(count)]


def hide_axes(axes: Axes) -> None:
    """Leave of an axes its picture and its labels only."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def save_figure(figure: Figure, paths: Iterable[str | Path], title: str = "", caption: str = "") -> None:
    """Write a figure to each path, in the format that its suffix names: svg, png (200 dpi), pdf or html.

    html is a page that shows the figure with `title` and `caption`.
    """
    files = [Path(path) for path in paths]
    add_fonts(figure.findobj(Text), files[0].stem)
    for path in files:
        if path.suffix == ".html":
            width = int(figure.get_figwidth() * PIXELS)
            page = figure_page(_as_bytes(figure, ".svg"), width, path.stem, title, caption)
            with atomic(path) as temporary:
                temporary.write_text(page, encoding="utf-8")
            continue
        with atomic(path) as temporary:
            temporary.write_bytes(_as_bytes(figure, path.suffix))


def _as_bytes(figure: Figure, suffix: str) -> bytes:
    content = BytesIO()
    with warnings.catch_warnings():
        # One warning of `add_fonts` for all, in place of matplotlib's for each character and size.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        figure.savefig(content, format=suffix[1:], metadata=_METADATA[suffix])
    return content.getvalue()
