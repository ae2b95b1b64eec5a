"""The command line: `lesionbench COMMAND`."""

import argparse
import json
import logging
import math
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from lesionbench import __version__
from lesionbench.data.reading import Reading
from lesionbench.data.studies import is_nifti
from lesionbench.errors import UserError

_ABOUT = "Use the models that the Lesionbench workflow has trained, on chest CT. For research only, not for diagnosis."
_SEGMENT_EXAMPLE = "lesionbench segment scan.nii.gz mask.nii.gz --run results/models/unet/fold-0/seed-0"
_CHECK_EXAMPLE = "lesionbench check data/COVID19_1110"
_EXAMPLES = f"""examples:
  {_CHECK_EXAMPLE}
  {_SEGMENT_EXAMPLE}

`lesionbench COMMAND --help` explains a command. Training and comparing are done by Snakemake:
  snakemake --cores 8
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0; 1 after an error that the user can correct; 2 after a wrong call."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        return int(options.command(options) or 0)
    except UserError as error:
        print(f"lesionbench: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # what cannot be read is a UserError already
        reason = f"{options.mask} cannot be written ({error.strerror}: {error.filename})"
        print(f"lesionbench: {reason}. Choose a folder where you may write and that has room.", file=sys.stderr)
        return 1


def _segment(options: argparse.Namespace) -> None:
    if options.mask.is_dir() or not is_nifti(options.mask):
        what = "this is a folder" if options.mask.is_dir() else "a mask is written as NIfTI"
        raise UserError(f"{options.mask}: {what}. Give the name of a file that ends with .nii.gz or .nii.")
    if options.mask.resolve() == options.scan.resolve():
        raise UserError(f"{options.mask}: this is the scan, which the mask would replace. Give the mask another name.")
    from lesionbench.segmentation.inference import load_run, segment  # here, because PyTorch takes seconds

    predictor = load_run(options.run, options.device)
    volume = segment(predictor, options.scan, options.mask, options.threshold, _reading(options))
    print(f"{options.mask}: lesion of {volume:.1f} ml")


def _check(options: argparse.Namespace) -> int:
    """Print all that is wrong with a data set; return 1 if an error is among it, 2 if there is nothing to check."""
    from lesionbench.data.findings import ERROR
    from lesionbench.report.findings_table import findings_text
    from lesionbench.words import counted

    try:
        settings = _data_settings(options.data)
    except UserError as error:
        print(f"lesionbench: {error}", file=sys.stderr)
        return 2
    root, studies, findings = _find_all(settings, options.threads)
    errors = sum(finding.severity == ERROR for finding in findings)
    annotated = sum(study.mask is not None for study in studies)
    if options.json:
        counts = {"studies": len(studies), "annotated": annotated, "errors": errors, "warnings": len(findings) - errors}
        record = {"version": 1, "root": str(root), **counts, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(record, indent=2, ensure_ascii=False))
        return int(errors > 0)
    if not studies:  # one message of several lines, which no table holds
        print(f"lesionbench: {findings[0].what}. {findings[0].remedy}", file=sys.stderr)
        return 1
    if findings:
        print(findings_text(findings, shutil.get_terminal_size((120, 24)).columns))
    warnings = counted(len(findings) - errors, "warning")
    print(f"{root}: {counted(len(studies), 'study')}, {annotated} with a mask: {counted(errors, 'error')}, {warnings}.")
    return int(errors > 0)


def _data_settings(path: Path) -> dict[str, Any]:
    """Return the settings of the data set in a folder, or of that of a configuration."""
    from lesionbench.experiment.config import dataset_settings
    from lesionbench.experiment.typed import read_config_file

    if path.is_dir():
        return dataset_settings({"dataset": {"root": str(path)}})
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or folder. Give the folder of a data set, or a configuration.")
    return dataset_settings(read_config_file(path))


def _find_all(settings: dict[str, Any], threads: int) -> tuple[Path, list[Any], list[Any]]:
    """Return the root of a data set, its studies, and all findings; that no studies are found is one as well."""
    from lesionbench.data.findings import ERROR, of_message
    from lesionbench.data.inventory import inventory, read_registry
    from lesionbench.data.studies import DataSet, find_studies

    dataset = DataSet.of(settings["dataset"])
    if settings["dataset"]["phantom"]:
        dataset = DataSet(Path(settings["pathvars"]["results"], "phantom"))
    root = Path(dataset.root)
    try:
        studies = find_studies(dataset)
    except UserError as error:
        return root, [], [of_message(ERROR, "layout", str(error))]
    registry, findings = None, []
    try:
        registry = read_registry(root, {study.name for study in studies}) if dataset.is_mosmed else None
    except UserError as error:
        findings = [of_message(ERROR, "registry", str(error))]
    reading = Reading(**{field.name: settings["dataset"][field.name] for field in fields(Reading)})
    return root, studies, findings + inventory(studies, root, registry, threads, reading, needs_ct=True).findings


def _threads(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


def _reading(options: argparse.Namespace) -> Reading:
    intensity = {"window": options.window} if options.window else "hu"
    return Reading(intensity=intensity, geometry=options.geometry, series=options.series)


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number between 0 and 1")
    return value


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("lesionbench", description=_ABOUT, epilog=_EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"lesionbench {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="say all that is wrong with a data set, before anything is trained on it",
        description="Read all of a data set once and list everything that is wrong (errors, which stop the workflow) "
        "or looks wrong (warnings). Exit status: 0 without errors, 1 with errors, 2 if there is nothing to check.",
        epilog=f"example:\n  {_CHECK_EXAMPLE}",
        formatter_class=raw,
    )
    check.add_argument("data", type=Path, help="folder of a data set in MosMedData's layout, or a configuration (YAML)")
    check.add_argument("--json", action="store_true", help="print everything as JSON (docs/check.md)")
    check.add_argument(
        "--threads", type=_threads, default=min(8, os.cpu_count() or 1), help="studies read at a time (default: 8)"
    )
    check.set_defaults(command=_check)
    segment = commands.add_parser(
        "segment",
        help="segment the lesions of one CT and print their volume",
        description="Segment the lesions of a chest CT with a trained model and print their volume. For research only.",
        epilog=f"example:\n  {_SEGMENT_EXAMPLE}",
        formatter_class=raw,
    )
    segment.add_argument("scan", type=Path, help="the CT: NIfTI, NRRD, MetaImage, or a folder of DICOM slices")
    segment.add_argument("mask", type=Path, help="where to write the mask, on the grid of the scan (.nii.gz)")
    segment.add_argument(
        "--run",
        type=Path,
        required=True,
        help="folder of a training, such as results/models/unet/fold-0/seed-0",
    )
    segment.add_argument("--threshold", type=_threshold, default=0.5, help="least probability of lesion (default: 0.5)")
    segment.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    segment.add_argument("--series", help="UID, number or description of the CT series, where a folder holds several")
    segment.add_argument(
        "--geometry", choices=["sform", "qform"], help="what says where the voxels lie, where a NIfTI header says both"
    )
    segment.add_argument(
        "--window",
        type=float,
        nargs=2,
        metavar=("CENTRE", "WIDTH"),
        help="of a scan in grey values from 0 to 255: the window in HU that they stand for",
    )
    segment.set_defaults(command=_segment)
    return parser
