"""The commands of the command line: what each takes, and what it prints."""

import argparse
from typing import TypeAlias

from lesionbench.data.reading import Reading
from lesionbench.errors import UserError

# What `add_subparsers` returns: each command adds itself to it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_reading(command: argparse.ArgumentParser) -> None:
    """Add the options that say how a scan is read."""
    command.add_argument("--series", help="UID, number or description of the CT series, where a folder holds several")
    command.add_argument(
        "--geometry", choices=["sform", "qform"], help="what says where the voxels lie, where a NIfTI header says both"
    )
    command.add_argument(
        "--window",
        type=float,
        nargs=2,
        metavar=("CENTRE", "WIDTH"),
        help="of a scan in grey values from 0 to 255: the window in HU that they stand for",
    )


def reading_of(options: argparse.Namespace) -> Reading:
    """Return what the options of `add_reading` say. Raises UserError where they say nothing possible."""
    if options.window and not options.window[1] > 0:
        raise UserError(f"--window: the width {options.window[1]:g} is not above 0. Give centre and width in HU.")
    intensity = {"window": options.window} if options.window else "hu"
    return Reading(intensity=intensity, geometry=options.geometry, series=options.series)
