"""Draw the figure that opens README.md: slices of the test studies with what each model makes of them.

    python docs/make_figure.py results/demo docs/demo.png

The slices are chosen by rule from the scores, as in the model grids of the report.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lesionbench.data.frames import read_frame
from lesionbench.evaluation.comparison import read_comparison
from lesionbench.report.figures.ct_panels import model_grid, read_views
from lesionbench.report.shown_slices import varied_slices
from lesionbench.report.style import save_figure
from lesionbench.report.tables import format_number

SLICES = 4
RUN = "fold-0/seed-0"


def make_figure(results: Path, output: Path) -> None:
    """Draw the first run of each model in a finished experiment; above each column stands the model's mean Dice."""
    models = read_comparison(results / "comparison.json").models
    # A space that does not break keeps the number beside the last word of the name.
    labels = [
        f"{label}:\u00a0{format_number(dice, 2)}"
        for label, dice in zip(models["label"], models["mean_dice"], strict=True)
    ]
    scores = [read_frame(results / "metrics" / model / RUN / "slices.csv") for model in models["model"]]
    folders = [results / "predictions" / model / RUN for model in models["model"]]
    picks = varied_slices(pd.concat(scores), SLICES)
    stacks = {pick.study: next((results / "slices").glob(f"*/{pick.study}.npz")) for pick in picks}
    views = read_views(picks, stacks, folders, scores)
    save_figure(model_grid(views, labels), [output])


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description="Draw the figure that opens README.md.")
    parser.add_argument("results", type=Path, help="folder of a finished experiment, as results/demo")
    parser.add_argument("output", type=Path, help="figure to write: .png, .svg or .pdf")
    options = parser.parse_args(arguments)
    make_figure(options.results, options.output)


if __name__ == "__main__":
    main()
