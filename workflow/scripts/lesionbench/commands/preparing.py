"""`lesionbench init`, `phantom` and `unstack`: data sets before they are used."""

import argparse
from pathlib import Path

from lesionbench.commands import Commands
from lesionbench.data.studies import Phantom
from lesionbench.errors import UserError
from lesionbench.words import counted


def add_init(commands: Commands) -> None:
    """Add `lesionbench init`."""
    about = "Look at a folder of CTs and masks, say which layout it has, and print the lines of the config that fit."
    init = commands.add_parser("init", help="print the lines of the config for a folder of scans", description=about)
    init.add_argument("folder", type=Path, help="the folder that holds the data set")
    init.set_defaults(command=_init, written="folder")


def _init(options: argparse.Namespace) -> None:
    from lesionbench.data.layouts import propose_config

    print(propose_config(options.folder))


def add_phantom(commands: Commands) -> None:
    """Add `lesionbench phantom`."""
    about = "Write a small synthetic data set in the layout of a published one, to try a configuration on."
    phantom = commands.add_parser("phantom", help="write synthetic scans in a known layout", description=about)
    phantom.add_argument("output", metavar="folder", type=Path, help="a new folder")
    phantom.add_argument("--layout", required=True, help="a name of presets/data, such as nnunet, msd, ma, patients")
    phantom.add_argument("--size", type=int, default=64, help="rows and columns of a slice, 16 or more (default: 64)")
    phantom.add_argument("--seed", type=int, default=0, help="another seed is another data set (default: 0)")
    phantom.set_defaults(command=_phantom, written="output")


def _phantom(options: argparse.Namespace) -> None:
    from lesionbench.data.phantom_layouts import write_layout

    if options.size < 16:
        raise UserError(f"--size {options.size}: a slice needs 16 rows and columns, or more.")
    phantom = Phantom(studies=8, annotated=6, category="CT-3", size=options.size, slices=(12, 16), seed=options.seed)
    write_layout(options.layout, options.output, phantom)
    print(f"{options.output}: phantoms in the layout {options.layout}. Now: lesionbench init {options.output}")


def add_unstack(commands: Commands) -> None:
    """Add `lesionbench unstack`."""
    about = "Write each slice of a volume that holds slices of many patients as a study of its own."
    unstack = commands.add_parser("unstack", help="write a study for each slice of a stack", description=about)
    unstack.add_argument("stack", type=Path, help="the NIfTI volume of CT slices, such as tr_im.nii.gz")
    unstack.add_argument("mask", type=Path, help="their masks, such as tr_mask.nii.gz")
    unstack.add_argument("output", metavar="folder", type=Path, help="a new folder")
    unstack.set_defaults(command=_unstack, written="output")


def _unstack(options: argparse.Namespace) -> None:
    from lesionbench.data.unstack import unstack

    count = unstack(options.stack, options.mask, options.output)
    print(f"{options.output}: {counted(count, 'study')}, one a slice. Now: lesionbench init {options.output}")
