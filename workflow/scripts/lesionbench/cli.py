"""The command line: `lesionbench COMMAND`."""

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from lesionbench import __version__
from lesionbench.data.reading import Reading
from lesionbench.data.studies import is_nifti
from lesionbench.errors import UserError

_ABOUT = "Use the models that the Lesionbench workflow has trained, on chest CT. For research only, not for diagnosis."
_SEGMENT_EXAMPLE = "lesionbench segment scan.nii.gz mask.nii.gz --run results/models/unet/fold-0/seed-0"
_EXAMPLES = f"""example:
  {_SEGMENT_EXAMPLE}

`lesionbench COMMAND --help` explains a command. Training and comparing are done by Snakemake:
  snakemake --cores 8
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0, or 1 after an error that the user can correct."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        options.command(options)
    except UserError as error:
        print(f"lesionbench: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # what cannot be read is a UserError already
        reason = f"{options.mask} cannot be written ({error.strerror}: {error.filename})"
        print(f"lesionbench: {reason}. Choose a folder where you may write and that has room.", file=sys.stderr)
        return 1
    return 0


def _segment(options: argparse.Namespace) -> None:
    if options.mask.is_dir() or not is_nifti(options.mask):
        what = "this is a folder" if options.mask.is_dir() else "a mask is written as NIfTI"
        raise UserError(f"{options.mask}: {what}. Give the name of a file that ends with .nii.gz or .nii.")
    if options.mask.resolve() == options.scan.resolve():
        raise UserError(f"{options.mask}: this is the scan, which the mask would replace. Give the mask another name.")
    from lesionbench.segmentation.inference import load_run, segment  # here, because PyTorch takes seconds

    predictor = load_run(options.run, options.device, options.mirror)
    volume = segment(predictor, options.scan, options.mask, options.threshold, _reading(options))
    print(f"{options.mask}: lesion of {volume:.1f} ml")


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
    segment.add_argument(
        "--mirror",
        action="store_true",
        help="predict the slices and their mirror images, and take the mean (`evaluation.mirroring`)",
    )
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
