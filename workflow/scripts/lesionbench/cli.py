"""The command line: `lesionbench COMMAND`."""

import argparse
import json
import logging
import math
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionbench import __version__
from lesionbench.data.reading import Reading, is_nifti
from lesionbench.data.studies import Phantom
from lesionbench.errors import UserError
from lesionbench.segmentation.inputs import find_scans
from lesionbench.segmentation.runs import find_runs
from lesionbench.words import counted

if TYPE_CHECKING:
    from lesionbench.data.findings import Finding
    from lesionbench.data.inventory import Inventory
    from lesionbench.data.studies import DataSet, Study

_ABOUT = (
    "Prepare data for the Lesionbench workflow, and use the models that it has trained, on chest CT. For research "
    "only, not for diagnosis."
)
_SEGMENT_EXAMPLE = "lesionbench segment scan.nii.gz mask.nii.gz --run results/models/unet/fold-0/seed-0"
_SEGMENT_MANY = "lesionbench segment scans/ more.nrrd --out segmented --run results/models/unet --preview"
_CHECK_EXAMPLE = "lesionbench check data/COVID19_1110"
_EXAMPLES = f"""examples:
  lesionbench init data/my-scans
  {_CHECK_EXAMPLE}
  {_SEGMENT_EXAMPLE}

`lesionbench COMMAND --help` explains a command. Training and comparing are done by Snakemake:
  snakemake --cores 8
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0; 1 after a user's mistake; 2 after a wrong call; 130 after Ctrl-C."""
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
    except KeyboardInterrupt:
        print("lesionbench: interrupted. What is finished stays; the same command makes the rest.", file=sys.stderr)
        return 130
    except OSError as error:  # what cannot be read is a UserError already
        written = getattr(options, options.written) or options.mask
        reason = f"{written} cannot be written ({error.strerror}: {error.filename})"
        print(f"lesionbench: {reason}. Choose a folder where you may write and that has room.", file=sys.stderr)
        return 1


def _segment(options: argparse.Namespace) -> int:
    """Segment one scan to a mask, or any number into a folder; return 1 if a scan failed."""
    _refuse_outputs(options)
    reading, runs = _reading(options), find_runs(options.run)
    scans = find_scans(options.input, options.series) if options.out else []
    if options.lungs and len(scans) != 1:
        raise UserError(f"--lungs is the mask of one scan, and there are {len(scans)}. Segment them one by one.")
    from lesionbench.segmentation import batch  # here, because PyTorch takes seconds

    given = {"threshold": options.threshold, "min_component_mm3": options.min_component}
    given = {key: value for key, value in given.items() if value is not None}
    ensemble = batch.load_ensemble(runs, options.device, options.mirror, options.code, given)
    print(ensemble)
    if not options.out:
        scan, mask = options.input
        print(f"{mask}: lesion of {batch.segment_one(scan, mask, ensemble, reading, options.force):.1f} ml")
        return 0
    wanted = batch.Wanted(
        options.probabilities, options.preview, options.dicom_seg, options.lungs, options.force, reading
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


def _export_model(options: argparse.Namespace) -> None:
    from lesionbench.report.model_card import About
    from lesionbench.report.sharing import export_model

    parts = options.run.resolve().parts
    name = options.name or (parts[-3] if parts[-4:-3] == ("models",) else options.folder.resolve().name)
    export_model(options.run, options.folder, About(options.license, name, options.dataset))
    print(f"{options.folder}: {name}, with its card in README.md. Read it, and add what you know of the data.")


def _check(options: argparse.Namespace) -> int:
    """Print all that is wrong with data sets; return 1 if an error is among it, 2 if there is nothing to check."""
    try:
        checked = _check_all(options.data, options.threads)
    except UserError as error:
        print(f"lesionbench: {error}", file=sys.stderr)
        return 2
    if options.json:
        first, *others = (one.record() for one in checked)
        record = {
            "version": 1,
            **first,
            "external": {one.name: other for one, other in zip(checked[1:], others, strict=True)},
        }
        print(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        for one in checked:
            one.show()
    return int(any(one.errors for one in checked))


@dataclass(frozen=True)
class _Checked:
    """What the check of a data set found; name: of an external set in the configuration, else empty."""

    name: str
    root: Path
    studies: Sequence["Study"]
    findings: Sequence["Finding"]
    inventory: "Inventory | None" = None

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)

    def record(self) -> dict[str, Any]:
        """Return what `--json` tells of the set."""
        return {
            "root": str(self.root),
            "studies": len(self.studies),
            "annotated": sum(study.mask is not None for study in self.studies),
            "errors": self.errors,
            "warnings": len(self.findings) - self.errors,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def show(self) -> None:
        from lesionbench.report.findings_table import findings_text

        name = f"external.{self.name}: " if self.name else ""
        if not self.studies:  # one message of several lines, which no table holds
            print(f"lesionbench: {name}{self.findings[0].what}. {self.findings[0].remedy}", file=sys.stderr)
            return
        counts = self.record()
        if self.findings:
            if name:
                print(f"\nExternal set {self.name}")
            print(findings_text(self.findings, shutil.get_terminal_size((120, 24)).columns))
        studies, annotated = counted(counts["studies"], "study"), counts["annotated"]
        errors, warnings = counted(counts["errors"], "error"), counted(counts["warnings"], "warning")
        print(f"{name}{self.root}: {studies}, {annotated} with a mask: {errors}, {warnings}.")


def _check_all(path: Path, threads: int) -> list[_Checked]:
    """Check the data set in a folder, or that of a configuration and its external sets."""
    from lesionbench.data.findings import ERROR, of_message
    from lesionbench.data.layouts import config_of
    from lesionbench.experiment.config import dataset_settings
    from lesionbench.experiment.typed import read_config_file

    if path.is_file():
        settings = dataset_settings(read_config_file(path))
        checked = _check_one(settings, threads)
        return [checked, *(_check_external(name, settings, checked, threads) for name in settings["external"])]
    if not path.is_dir():
        raise UserError(f"{path}: there is no such file or folder. Give the folder of a data set, or a configuration.")
    try:
        return [_check_one(dataset_settings(config_of(path)), threads)]
    except UserError as error:
        return [_Checked("", path, [], [of_message(ERROR, "layout", str(error))])]


def _check_one(settings: dict[str, Any], threads: int) -> _Checked:
    """Check the data set of a configuration; that no studies are found is a finding as well."""
    from lesionbench.data.findings import ERROR, of_message
    from lesionbench.data.studies import DataSet, find_studies

    dataset = DataSet.of(settings["dataset"])
    if settings["dataset"]["phantom"]:
        dataset = DataSet(Path(settings["pathvars"]["results"], "phantom"))
    try:
        studies = find_studies(dataset)
    except UserError as error:
        return _Checked("", Path(dataset.root), [], [of_message(ERROR, "layout", str(error))])
    return _examine("", dataset, studies, settings["dataset"], threads)


def _check_external(name: str, settings: dict[str, Any], trained_on: _Checked, threads: int) -> _Checked:
    """Check an external set, and whether its scans are those of the data set that is trained on."""
    from lesionbench.data.findings import ERROR, of_message
    from lesionbench.data.inventory import find_known
    from lesionbench.experiment.cohort import find_cohorts

    section = settings["external"][name]
    try:
        cohort = find_cohorts({"external": {name: section}}, {}, {}, trained_on.studies)[name]
    except UserError as error:
        text = str(error).removeprefix(f"external.{name}: ")
        return _Checked(name, Path(section["root"]), [], [of_message(ERROR, "layout", text)])
    checked = _examine(name, cohort.dataset, list(cohort.studies.values()), section, threads)
    if checked.inventory is None or trained_on.inventory is None:
        return checked
    known = find_known(checked.inventory, trained_on.inventory.table, trained_on.inventory.fingerprints)
    findings = sorted([*checked.findings, *known], key=lambda finding: finding.severity)  # errors first
    return replace(checked, findings=findings)


def _examine(
    name: str, dataset: "DataSet", studies: Sequence["Study"], section: dict[str, Any], threads: int
) -> _Checked:
    from lesionbench.data.findings import ERROR, of_message
    from lesionbench.data.inventory import inventory, read_registry

    registry, findings = None, []
    try:
        registry = read_registry(dataset.root, {study.name for study in studies}) if dataset.is_mosmed else None
    except UserError as error:
        findings = [of_message(ERROR, "registry", str(error))]
    reading = Reading(**{field.name: section[field.name] for field in fields(Reading)})
    found = inventory(studies, dataset.root, registry, threads, reading, needs_ct=True)
    return _Checked(name, Path(dataset.root), studies, findings + found.findings, found)


def _threads(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


def _reading(options: argparse.Namespace) -> Reading:
    if options.window and not options.window[1] > 0:
        raise UserError(f"--window: the width {options.window[1]:g} is not above 0. Give centre and width in HU.")
    intensity = {"window": options.window} if options.window else "hu"
    return Reading(intensity=intensity, geometry=options.geometry, series=options.series)


def _init(options: argparse.Namespace) -> None:
    from lesionbench.data.layouts import propose_config

    print(propose_config(options.folder))


def _phantom(options: argparse.Namespace) -> None:
    from lesionbench.data.phantom_layouts import write_layout

    if options.size < 16:
        raise UserError(f"--size {options.size}: a slice needs 16 rows and columns, or more.")
    phantom = Phantom(studies=8, annotated=6, category="CT-3", size=options.size, slices=(12, 16), seed=options.seed)
    write_layout(options.layout, options.output, phantom)
    print(f"{options.output}: phantoms in the layout {options.layout}. Now: lesionbench init {options.output}")


def _unstack(options: argparse.Namespace) -> None:
    from lesionbench.data.unstack import unstack

    count = unstack(options.stack, options.mask, options.output)
    print(f"{options.output}: {counted(count, 'study')}, one a slice. Now: lesionbench init {options.output}")


def _export(options: argparse.Namespace) -> None:
    from lesionbench.capsule.export import export

    count = export(options.results, options.capsule, options.report)
    print(f"{options.capsule}: {counted(count, 'file')}. To check it: lesionbench verify {options.capsule}")


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


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("lesionbench", description=_ABOUT, epilog=_EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"lesionbench {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_init(commands)
    _add_phantom(commands)
    _add_unstack(commands)
    _add_export_model(commands)
    _add_export(commands)
    _add_verify(commands)
    check = commands.add_parser(
        "check",
        help="say all that is wrong with a data set, before anything is trained on it",
        description="Read all of a data set once and list everything that is wrong (errors, which stop the workflow) "
        "or looks wrong (warnings). Exit status: 0 without errors, 1 with errors, 2 if there is nothing to check.",
        epilog=f"example:\n  {_CHECK_EXAMPLE}",
        formatter_class=raw,
    )
    check.add_argument("data", type=Path, help="folder of a data set in a known layout, or a configuration (YAML)")
    check.add_argument("--json", action="store_true", help="print everything as JSON (docs/check.md)")
    check.add_argument(
        "--threads",
        type=_threads,
        default=min(8, os.cpu_count() or 1),
        help="studies read at a time (default: the cores, at most 8)",
    )
    check.set_defaults(command=_check, written="data")
    _add_segment(commands)
    return parser


def _add_segment(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    segment = commands.add_parser(
        "segment",
        help="segment the lesions of one CT, or of many, and print their volume",
        description="Segment the lesions of chest CTs with trained models: of one scan into a mask, or of any number "
        "into a folder, each with its mask, lungs, volumes and the share of the lungs involved. For research only.",
        usage="%(prog)s SCAN MASK --run RUN [options]\n"
        "       %(prog)s INPUT [INPUT ...] --out FOLDER --run RUN [options]",
        epilog=f"examples:\n  {_SEGMENT_EXAMPLE}\n  {_SEGMENT_MANY}",
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
    segment.add_argument("--probabilities", action="store_true", help="write the probabilities of lesion too (8 bits)")
    segment.add_argument("--preview", action="store_true", help="write a picture of slices with contours too (PNG)")
    segment.add_argument("--dicom-seg", action="store_true", help="write a DICOM segmentation of a DICOM series too")
    segment.add_argument(
        "--lungs", type=Path, metavar="FILE", help="mask of the lungs (1 right, 2 left) in place of those found"
    )
    segment.add_argument("--force", action="store_true", help="segment also what is no CT in HU")
    segment.set_defaults(command=_segment, written="out")


def _add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


def _add_verify(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


def _named_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not name or not equals or not folder:
        raise argparse.ArgumentTypeError(f"{text} is no NAME=ROOT")
    return name, Path(folder)


def _add_init(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Look at a folder of CTs and masks, say which layout it has, and print the lines of the config that fit."
    init = commands.add_parser("init", help="print the lines of the config for a folder of scans", description=about)
    init.add_argument("folder", type=Path, help="the folder that holds the data set")
    init.set_defaults(command=_init, written="folder")


def _add_phantom(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Write a small synthetic data set in the layout of a published one, to try a configuration on."
    phantom = commands.add_parser("phantom", help="write synthetic scans in a known layout", description=about)
    phantom.add_argument("output", metavar="folder", type=Path, help="a new folder")
    phantom.add_argument("--layout", required=True, help="a name of presets/data, such as nnunet, msd, ma, patients")
    phantom.add_argument("--size", type=int, default=64, help="rows and columns of a slice, 16 or more (default: 64)")
    phantom.add_argument("--seed", type=int, default=0, help="another seed is another data set (default: 0)")
    phantom.set_defaults(command=_phantom, written="output")


def _add_unstack(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Write each slice of a volume that holds slices of many patients as a study of its own."
    unstack = commands.add_parser("unstack", help="write a study for each slice of a stack", description=about)
    unstack.add_argument("stack", type=Path, help="the NIfTI volume of CT slices, such as tr_im.nii.gz")
    unstack.add_argument("mask", type=Path, help="their masks, such as tr_mask.nii.gz")
    unstack.add_argument("output", metavar="folder", type=Path, help="a new folder")
    unstack.set_defaults(command=_unstack, written="output")


def _add_export_model(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
