"""`lesionbench view`: one page with a CT and the contours of masks, to look at in a browser."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench.commands import Commands, add_reading, reading_of
from lesionbench.errors import UserError

if TYPE_CHECKING:
    from lesionbench.report.viewer import Shown

EXAMPLE = "lesionbench view results study_0255"


def add_view(commands: Commands) -> None:
    """Add `lesionbench view`."""
    view = commands.add_parser(
        "view",
        help="write a page to scroll through a CT with the contours of masks",
        description="Write one HTML file that shows a CT in three planes and in 3-D with the contours of masks, to "
        "open in a browser. It needs no network and no other file. It holds the CT: treat it as you treat the scan.",
        usage="%(prog)s [RESULTS] STUDY [--out FILE]\n"
        "       %(prog)s SCAN MASK [MASK ...] [--reference MASK] [--out FILE]\n"
        "       %(prog)s SEGMENTED [--out FILE]",
        epilog=f"examples:\n  {EXAMPLE}\n  lesionbench view segmented/scan\n"
        "  lesionbench view scan.nii.gz unet.nii.gz Other=other.nii.gz --reference by-hand.nii.gz --out scan.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    view.add_argument(
        "input",
        nargs="+",
        help="a test study, after the folder of finished results (default: results): with its reference and the masks "
        "of all models; or a CT of any format and masks on its grid, as FILE or NAME=FILE; or the folder that "
        "`lesionbench segment --out` has written for a scan",
    )
    view.add_argument("--out", type=Path, metavar="FILE", help="the page (default: the name of study or scan, .html)")
    view.add_argument("--results", type=Path, metavar="FOLDER", help="finished results, where only a study is named")
    view.add_argument("--dataset", type=Path, metavar="FOLDER", help="where the study's data set lies, if it was moved")
    view.add_argument(
        "--reference", type=Path, metavar="MASK", help="of a scan: the mask that the others are compared with by Dice"
    )
    view.add_argument(
        "--lesion-labels",
        type=int,
        nargs="+",
        metavar="LABEL",
        help="labels of that reference that are lesion (default: 1, and there is no other)",
    )
    add_reading(view)
    view.set_defaults(command=_view, written="out")


def _view(options: argparse.Namespace) -> None:
    from lesionbench.report.viewer import write_viewer

    shown = _shown(options)
    options.out = options.out or Path(re.sub(r"[^\w.-]+", "_", shown.title) + ".html")
    if options.out.is_dir():
        raise UserError(f"--out {options.out}: this is a folder. Give the name of a file that ends with .html.")
    write_viewer(shown, options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB. Open it in a browser.")


def _shown(options: argparse.Namespace) -> "Shown":
    """Return what the page shows, by what the first input is."""
    from lesionbench.capsule.tested_study import tested_study
    from lesionbench.report.viewed_scan import is_segmented, scan_with_masks, segmented_scan

    first, *others = options.input
    path = Path(first)
    if (path / "config.json").is_file():
        if len(others) != 1:
            raise UserError(f"{path}: these are results. Name one test study after them: {EXAMPLE}")
        return tested_study(path, others[0], options.dataset, options.series)
    reference = (options.reference, options.lesion_labels)
    if is_segmented(path) and not others:
        return segmented_scan(path, *reference)
    if path.exists():
        return scan_with_masks(path, others, reading_of(options), *reference)
    if others or len(path.parts) > 1 or path.suffix:
        raise UserError(f"{path}: no such file or folder. Check the path.")
    return tested_study(options.results or Path("results"), first, options.dataset, options.series)
