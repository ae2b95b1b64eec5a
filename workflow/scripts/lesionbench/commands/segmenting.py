"""`lesionbench segment`: one scan, or any number of scans."""

import argparse
import math
import sys
from pathlib import Path

from lesionbench.commands import Commands, add_reading, reading_of
from lesionbench.data.reading import is_nifti
from lesionbench.errors import UserError
from lesionbench.segmentation.inputs import find_scans
from lesionbench.segmentation.runs import find_runs
from lesionbench.words import counted

EXAMPLE = "lesionbench segment scan.nii.gz mask.nii.gz --run results/models/unet/fold-0/seed-0"
EXAMPLE_OF_MANY = "lesionbench segment scans/ more.nrrd --out segmented --run results/models/unet --preview"


def add_segment(commands: Commands) -> None:
    """Add `lesionbench segment`."""
    segment = commands.add_parser(
        "segment",
        help="segment the lesions of one CT, or of many, and print their volume",
        description="Segment the lesions of chest CTs with trained models: of one scan into a mask, or of any number "
        "into a folder, each with its mask, lungs, volumes and the share of the lungs involved. For research only.",
        usage="%(prog)s SCAN MASK --run RUN [options]\n"
        "       %(prog)s INPUT [INPUT ...] --out FOLDER --run RUN [options]",
        epilog=f"examples:\n  {EXAMPLE}\n  {EXAMPLE_OF_MANY}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    segment.add_argument(
        "input",
        type=Path,
        nargs="+",
        help="CTs: NIfTI, NRRD, MetaImage, folders of DICOM slices, or folders of these; without --out one CT, and "
        "where to write its mask, on the grid of the scan (.nii.gz)",
    )
    segment.add_argument("--out", type=Path, metavar="FOLDER", help="where the results of each scan are written")
    segment.add_argument(
        "--run",
        type=Path,
        required=True,
        action="append",
        help="folder of a training, such as results/models/unet/fold-0/seed-0, of a model (all its trainings), or of "
        "an exported model; given again, the mean of all",
    )
    segment.add_argument(
        "--threshold", type=_threshold, help="least probability of lesion (default: what the run has chosen, or 0.5)"
    )
    segment.add_argument(
        "--min-component",
        type=_volume,
        metavar="MM3",
        help="remove components below this volume in mm³ (default: what the run has chosen, or 0)",
    )
    segment.add_argument(
        "--mirror",
        action="store_true",
        help="predict the slices and their mirror images, and take the mean (`evaluation.mirroring`)",
    )
    segment.add_argument(
        "--code",
        action="append",
        default=[],
        metavar="FILE",
        help="the file, or the package, of a network of your own: code that you trust, which is executed",
    )
    segment.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    segment.add_argument(
        "--precision",
        choices=["training", "float32", "bfloat16"],
        default="training",
        help="what networks compute in (default: training, as they were trained); bfloat16 is faster and less exact",
    )
    segment.add_argument(
        "--whole", action="store_true", help="look for lesions far from the lungs too, which takes longer"
    )
    add_reading(segment)
    segment.add_argument("--probabilities", action="store_true", help="write the probabilities of lesion too (8 bits)")
    segment.add_argument("--preview", action="store_true", help="write a picture of slices with contours too (PNG)")
    segment.add_argument("--dicom-seg", action="store_true", help="write a DICOM segmentation of a DICOM series too")
    segment.add_argument(
        "--lungs", type=Path, metavar="FILE", help="mask of the lungs (1 right, 2 left) in place of those found"
    )
    segment.add_argument("--force", action="store_true", help="segment also what is no CT in HU")
    segment.set_defaults(command=_segment, written="out")


def _segment(options: argparse.Namespace) -> int:
    """Segment one scan to a mask, or any number into a folder; return 1 if a scan failed."""
    _refuse_outputs(options)
    reading, runs = reading_of(options), find_runs(options.run)
    scans = find_scans(options.input, options.series) if options.out else []
    if options.lungs and len(scans) != 1:
        raise UserError(f"--lungs is the mask of one scan, and there are {len(scans)}. Segment them one by one.")
    if options.lungs and not options.lungs.is_file():
        raise UserError(f"--lungs {options.lungs}: there is no such file. Check the path.")
    from lesionbench.segmentation import batch  # here, because PyTorch takes seconds

    given = {"threshold": options.threshold, "min_component_mm3": options.min_component}
    given = {key: value for key, value in given.items() if value is not None}
    ensemble = batch.load_ensemble(runs, options.device, options.mirror, options.code, given, options.precision)
    print(ensemble)
    if not options.out:
        scan, mask = options.input
        volume = batch.segment_one(scan, mask, ensemble, reading, options.force, options.whole)
        print(f"{mask}: lesion of {volume:.1f} ml")
        return 0
    wanted = batch.Wanted(
        options.probabilities, options.preview, options.dicom_seg, options.lungs, options.force, reading, options.whole
    )
    errors = batch.segment_scans(scans, ensemble, wanted, options.out)
    if errors:
        print(f"lesionbench: {len(errors)} of {counted(len(scans), 'scan')} could not be segmented:", file=sys.stderr)
        print(*errors, sep="\n", file=sys.stderr)
    return int(bool(errors))


def _refuse_outputs(options: argparse.Namespace) -> None:
    """Raise UserError where it is not clear, or not possible, where results go."""
    if options.out:
        if options.out.exists() and not options.out.is_dir():
            raise UserError(f"--out {options.out}: this is a file. Give a folder.")
        return
    if len(options.input) != 2:
        raise UserError(
            f"{counted(len(options.input), 'file')} without --out: give SCAN and MASK, or any number of scans and "
            "--out FOLDER."
        )
    scan, mask = options.input
    for name in ("probabilities", "preview", "dicom_seg", "lungs"):
        if getattr(options, name):
            raise UserError(f"--{name.replace('_', '-')} needs --out FOLDER, which it is written to.")
    if mask.is_dir() or not is_nifti(mask):
        what = "this is a folder" if mask.is_dir() else "a mask is written as NIfTI"
        raise UserError(
            f"{mask}: {what}. Give the name of a file that ends with .nii.gz or .nii, or for several scans --out "
            "FOLDER."
        )
    if mask.resolve() == scan.resolve():
        raise UserError(f"{mask}: this is the scan, which the mask would replace. Give the mask another name.")
    options.mask = mask


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number between 0 and 1")
    return value


def _volume(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no volume of 0 mm³ or more")
    return value
