"""`lesionbench export-model`, `export` and `verify`: results for others."""

import argparse
import sys
from pathlib import Path

from lesionbench.commands import Commands
from lesionbench.errors import UserError
from lesionbench.words import counted


def add_export_model(commands: Commands) -> None:
    """Add `lesionbench export-model`."""
    about = (
        "Write a training to a folder for others: weights, record, operating point, and a model card with its scores. "
        "No CT, no mask, no name of a study and nothing of this machine is in it. `lesionbench segment --run FOLDER` "
        "takes it on another machine; the Hugging Face Hub can hold it as it is."
    )
    export = commands.add_parser("export-model", help="write a trained model to a folder for others", description=about)
    export.add_argument("run", type=Path, help="folder of a training, such as results/models/unet/fold-0/seed-0")
    export.add_argument("folder", type=Path, help="a new folder")
    export.add_argument(
        "--license", required=True, help="of the model, as the Hub names it: apache-2.0, cc-by-nc-4.0, other …"
    )
    export.add_argument("--name", help="of the model (default: its name in the configuration)")
    export.add_argument(
        "--dataset",
        action="append",
        default=[],
        metavar="ID",
        help="a data set that it was trained on, as the Hub names it: owner/name; may be given several times",
    )
    export.set_defaults(command=_export_model, written="folder")


def _export_model(options: argparse.Namespace) -> None:
    from lesionbench.report.model_card import About
    from lesionbench.report.sharing import export_model

    parts = options.run.resolve().parts
    name = options.name or (parts[-3] if parts[-4:-3] == ("models",) else options.folder.resolve().name)
    export_model(options.run, options.folder, About(options.license, name, options.dataset))
    print(f"{options.folder}: {name}, with its card in README.md. Read it, and add what you know of the data.")


def add_export(commands: Commands) -> None:
    """Add `lesionbench export`."""
    about = (
        "Pack results into one zip file that a reviewer can check: configuration, split, hashes of all inputs, "
        "predicted masks, scores, tables, records, code and report, as a Workflow Run RO-Crate. No CT and no "
        "reference mask goes in."
    )
    export = commands.add_parser("export", help="pack results for a reviewer", description=about)
    export.add_argument("results", type=Path, help="folder of finished results")
    export.add_argument("capsule", type=Path, help="the zip file to write")
    export.add_argument(
        "--no-report",
        dest="report",
        action="store_false",
        help="leave out report.html, whose pictures show slices of CT",
    )
    export.set_defaults(command=_export, written="capsule")


def _export(options: argparse.Namespace) -> None:
    from lesionbench.capsule.export import export

    count = export(options.results, options.capsule, options.report)
    print(f"{options.capsule}: {counted(count, 'file')}. To check it: lesionbench verify {options.capsule}")


def add_verify(commands: Commands) -> None:
    """Add `lesionbench verify`."""
    about = (
        "Compute the split and the tables of a capsule again from its scores and, with the data set, the scores from "
        "its masks, and list every number that differs. Nothing in the capsule is executed. Exit status: 0 if all "
        "numbers are reproduced, 1 if something differs, 2 if it is no capsule."
    )
    verify = commands.add_parser("verify", help="check results that were packed by export", description=about)
    verify.add_argument("capsule", type=Path, help="the zip file")
    verify.add_argument("--dataset", type=Path, metavar="ROOT", help="folder of the data set, to score the masks again")
    verify.add_argument(
        "--external",
        type=_named_folder,
        action="append",
        default=[],
        metavar="NAME=ROOT",
        help="the same of an external set; may be given several times",
    )
    verify.set_defaults(command=_verify, written="capsule")


def _verify(options: argparse.Namespace) -> int:
    """Print what a capsule says that cannot be reproduced; return 1 if anything cannot, 2 if it is no capsule."""
    from lesionbench.capsule.differences import shown
    from lesionbench.capsule.verify import verify

    roots = dict(options.external) | ({"": options.dataset} if options.dataset else {})
    try:
        for name, root in roots.items():
            if not root.is_dir():
                raise UserError(f"{name or '--dataset'}: there is no folder {root}. Give the folder of the data set.")
        verdict = verify(options.capsule, roots)
    except UserError as error:
        print(f"lesionbench: {error}", file=sys.stderr)
        return 2
    for line in shown(verdict.differences):
        print(line)
    for text in verdict.unchecked:
        print(f"Not checked: {text}")
    if verdict.differences:
        what = counted(len(verdict.differences), "difference")
        print(f"{options.capsule}: {what}, {verdict.numbers:,} numbers compared")
        return 1
    print(f"{options.capsule}: all {verdict.numbers:,} numbers reproduced")
    return 0


def _named_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not name or not equals or not folder:
        raise argparse.ArgumentTypeError(f"{text} is no NAME=ROOT")
    return name, Path(folder)
