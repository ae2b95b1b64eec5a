"""`lesionbench check`: all that is wrong with a data set."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionbench.commands import Commands
from lesionbench.data.reading import Reading
from lesionbench.errors import UserError
from lesionbench.words import counted

if TYPE_CHECKING:
    from lesionbench.data.findings import Finding
    from lesionbench.data.inventory import Inventory
    from lesionbench.data.studies import DataSet, Study

EXAMPLE = "lesionbench check data/COVID19_1110"


def add_check(commands: Commands) -> None:
    """Add `lesionbench check`."""
    check = commands.add_parser(
        "check",
        help="say all that is wrong with a data set, before anything is trained on it",
        description="Read all of a data set once and list everything that is wrong (errors, which stop the workflow) "
        "or looks wrong (warnings). Exit status: 0 without errors, 1 with errors, 2 if there is nothing to check.",
        epilog=f"example:\n  {EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
