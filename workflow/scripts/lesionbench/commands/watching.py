"""`lesionbench status`: how far the trainings are."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lesionbench.commands import Commands
from lesionbench.errors import UserError
from lesionbench.training.status import Status, read_status
from lesionbench.words import counted, duration

EXAMPLE = "lesionbench status results --watch"
EVERY_SECONDS = 2
HEAD = ("model", "fold", "seed", "state", "epoch", "validation Dice", "patience", "left at most", "where")


def add_status(commands: Commands) -> None:
    """Add `lesionbench status`."""
    status = commands.add_parser(
        "status",
        help="say how far the trainings are",
        description="List the runs of an experiment that have begun: the epoch, the validation Dice of the last epoch "
        "(of a finished run the best), how many epochs may pass without a better one, the time left if all epochs "
        "come, and the process that trains. What is stopped goes on with the same Snakemake command.",
        epilog=f"example:\n  {EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    status.add_argument("results", type=Path, help="folder of an experiment's results, such as results or results/demo")
    status.add_argument("--watch", action="store_true", help="show it anew until no run is at work; Ctrl-C ends it")
    status.set_defaults(command=_status, written="results")


def _status(options: argparse.Namespace) -> None:
    if not (options.results / "models").is_dir():
        raise UserError(
            f"{options.results}: there is no folder models/ in it, so no run has begun there. Give the folder of an "
            "experiment's results, as `pathvars.results` of the configuration names it, such as results."
        )
    while True:
        runs = read_status(options.results)
        clear = "\x1b[2J\x1b[H" if options.watch and sys.stdout.isatty() else ""
        print(f"{clear}{_table(runs)}", flush=True)
        if not options.watch or not any(run.where for run in runs):
            return
        time.sleep(EVERY_SECONDS)


def _table(runs: Sequence[Status]) -> str:
    rows = [HEAD, *map(_cells, runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    states = Counter(run.doing for run in runs)
    total = ", ".join(f"{number:,} {state}" for state, number in sorted(states.items()))
    return "\n".join([*lines, "", f"{counted(len(runs), 'run')} begun{': ' if total else ''}{total}"])


def _cells(run: Status) -> tuple[str, ...]:
    epoch = "" if run.epoch is None and not run.max_epochs else f"{run.epoch or 0}"
    return (
        run.model,
        str(run.fold),
        str(run.seed),
        run.doing,
        f"{epoch} of {run.max_epochs}" if run.max_epochs else epoch,
        "" if run.validation_dice is None else f"{run.validation_dice:.3f}",
        "" if run.patience_left is None else str(run.patience_left),
        "" if run.seconds_left is None else duration(run.seconds_left),
        run.where,
    )
