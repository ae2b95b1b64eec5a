"""From a figure's function and the files that it reads to the figure."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from matplotlib.figure import Figure

from lesionbench.data.frames import read_frame
from lesionbench.evaluation.comparison import read_comparison
from lesionbench.evaluation.scores import collect_scores
from lesionbench.report.point_table import read_choices

# How each kind of input is read, from its files and the rule's params.
READERS: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "calibration": lambda files, params: read_frame(files),
    "classes": lambda files, params: read_frame(files),
    "comparison": lambda files, params: read_comparison(files),
    "cost": lambda files, params: read_frame(files),
    "histories": lambda files, params: collect_scores(files, params["runs"]).assign(
        best_epoch_by=lambda history: history["model"].map(params["best_epoch_by"])
    ),
    "inventory": lambda files, params: read_frame(files),
    "points": lambda files, params: read_choices(files, params["runs"]),
    "labels": lambda files, params: params["labels"],
    "shares": lambda files, params: read_frame(files),
    "transfer": lambda files, params: read_frame(files),
    "stacks": lambda files, params: dict(zip(params["shown"], files, strict=True)),
}


def draw(
    function: str, reads: Sequence[str], files: Mapping[str, str | Sequence[str]], params: Mapping[str, Any]
) -> Figure:
    """Return what a function of `report.figures`, as `module:function`, draws of the kinds of input that it reads."""
    module, _, name = function.partition(":")
    inputs = {kind: READERS[kind](files.get(kind), params) for kind in reads}
    draw_figure: Callable[..., Figure] = getattr(import_module(f"lesionbench.report.figures.{module}"), name)
    return draw_figure(**inputs)
