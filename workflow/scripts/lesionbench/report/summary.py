"""The page that opens the report: the question, the data, the comparison in words, what made it, how to repeat it."""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lesionbench.data.frames import read_frame
from lesionbench.environment import WORKFLOW, environment
from lesionbench.evaluation.comparison import Comparison
from lesionbench.files import sha256, write_json
from lesionbench.report.comparison_tables import comparison_notes, show_comparison
from lesionbench.report.conclusions import conclusions
from lesionbench.report.subset_table import PAPER_PLANE, SUBSET_TITLES
from lesionbench.report.tables import STYLE, UNDEFINED, format_number
from lesionbench.training.runfile import read_contents
from lesionbench.words import counted, listed

TEMPLATE = WORKFLOW / "report" / "summary.html.jinja"
_NEEDED = ("environment", "inputs_sha256", "epochs", "best_epoch", "device", "encoder_weights_sha256")
_NEEDED_OF_METHODS = ("program", "fold", "seed", "method", "command", "options", "device", "program_code")
DIGITS = 16  # of a SHA-256, enough to tell files apart


def render_summary(
    config: Mapping[str, Any],
    labels: Mapping[str, str],
    name: str,
    elsewhere: Mapping[str, str],
    answer: Mapping[str, Any],
    data: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> str:
    """Return the page as HTML, of what `describe_answer`, `describe_data` and `read_provenance` have found.

    name: of the data set; elsewhere: the folder of each row whose masks were made elsewhere, by its name in words.
    """
    loader = FileSystemLoader(TEMPLATE.parent)
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters |= {"number": lambda value: format_number(value, 0), "counted": counted, "listed": listed}
    return jinja.get_template(TEMPLATE.name).render(
        config=config,
        config_text=yaml.safe_dump(dict(config), allow_unicode=True, sort_keys=False, width=100),
        labels=labels,
        name=name,
        elsewhere=elsewhere,
        answer=answer,
        data=data,
        provenance=provenance,
        digits=DIGITS,
        paper_plane=PAPER_PLANE,
        style=STYLE,
    )


def describe_answer(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as text, what it shows in words, and how to read it."""
    return {
        "table": show_comparison(comparison.models),
        "conclusions": conclusions(comparison),
        "notes": comparison_notes(comparison),
        "studies": comparison.sample.studies,
        "tested": len(comparison.scores["dice"]),
    }


def describe_data(inventory: str | Path, slices: str | Path, splits: Sequence[str | Path]) -> dict[str, Any]:
    """Return how many studies there are, of how many patients, how they are divided, and the hash of each that is.

    The arguments are the inventory, the table of slices by subset and the folds' subsets, all as csv.
    """
    studies = read_frame(inventory).set_index("study")
    folds = pd.concat(map(read_frame, splits), keys=range(len(splits)), names=["fold", None]).reset_index("fold")
    if len(splits) == 1:
        used = folds.set_index("study")["subset"].map(SUBSET_TITLES).rename("Subset")
    else:
        used = folds[folds["subset"] == "test"].set_index("study")["fold"].astype(str).rename("Tested in fold")
    hashes = studies.loc[used.index, ["ct_sha256", "mask_sha256"]].map(_shorten)
    counts = read_frame(slices)
    patients = studies["patient"].where(studies["patient"] != "", studies.index) if "patient" in studies else None
    return {
        "studies": len(studies),
        "patients": None if patients is None else int(patients.nunique()),
        "annotated": int((studies["mask"] != "").sum()),
        "folds": len(splits),
        "subsets": counts[counts["subset"] != "total"].to_dict("records"),
        "files": pd.concat([used, hashes.set_axis(["CT", "Mask"], axis="columns")], axis="columns")
        .sort_index()
        .rename_axis("Study")
        .reset_index(),
    }


def read_provenance(
    trainings: Sequence[Sequence[Any]],
    records: Sequence[str | Path],
    weights: Sequence[str | Path],
    labels: Mapping[str, str],
    methods: Sequence[str | Path] = (),
) -> dict[str, Any]:
    """Return what made each training, and with which versions: of the trainings, and of the job that writes the page.

    `trainings` holds a (model, fold, seed) for each of `records` (run.json) and `weights`; `methods` are the run.json
    of external methods, in folders called as those of trainings are.
    """
    rows, made_with = [], []
    for (model, fold, seed), record_path, weights_path in zip(trainings, records, weights, strict=True):
        record = read_contents(record_path, _NEEDED)
        versions = _versions(record["environment"])
        if versions not in made_with:
            made_with.append(versions)
        slices = json.dumps(record["inputs_sha256"], sort_keys=True).encode()
        rows.append(
            {
                "Model": labels[model],
                "Fold": str(fold),
                "Seed": str(seed),
                "Epochs": str(record["epochs"]),
                "Best epoch": str(record["best_epoch"]),
                "Device": record["device"].get("name", record["device"]["type"]),
                "Versions": str(made_with.index(versions) + 1),
                "Slices": _shorten(hashlib.sha256(slices).hexdigest()),
                "Encoder weights": _shorten(record["encoder_weights_sha256"]),
                "Trained weights": _shorten(sha256(weights_path)),
            }
        )
    here = environment()
    several = len(made_with) > 1
    columns = {f"Trainings {number}" if several else "Trainings": made for number, made in enumerate(made_with, 1)}
    return {
        "commit": here["git_commit"],
        "methods": pd.DataFrame([_of_method(Path(path), labels) for path in methods]),
        "trainings": pd.DataFrame(rows).drop(columns=[] if several else ["Versions"], errors="ignore"),
        "versions": pd.DataFrame(columns | {"Comparison": _versions(here)}).rename_axis("").reset_index(),
    }


def write_config(
    config: Mapping[str, Any], reference: Sequence[Sequence[Any]], sweeps: Mapping[str, Any], path: str | Path
) -> None:
    """Write the configuration that the results were made with, with all defaults, reference results and sweeps."""
    made_with = {key: value for key, value in environment().items() if key not in ("host", "finished")}
    content = {"config": config, "reference_results": reference, "sweeps": sweeps, "environment": made_with}
    write_json(path, content, indent=1)


def _of_method(path: Path, labels: Mapping[str, str]) -> dict[str, str]:
    """Return what the summary says of a run of an external method: models/MODEL/fold-K/seed-S/run.json."""
    record = read_contents(path, _NEEDED_OF_METHODS)
    versions = record["program"].get("versions", {})
    return {
        "Model": labels.get(path.parts[-4], path.parts[-4]),
        "Fold": str(record["fold"]),
        "Seed": str(record["seed"]),
        "Program": record["method"] or shlex.join(record["command"]),
        "Options": json.dumps(record["options"], ensure_ascii=False) if record["options"] else UNDEFINED,
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()) or UNDEFINED,
        "Device": record["device"].get("name", record["device"]["type"]),
        "Program’s files": record["program_code"],
    }


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    versions = {
        "Commit": environment["git_commit"],
        "lesionbench": environment["lesionbench"],
        "Python": environment["python"],
        **environment["packages"],
        "Platform": environment.get("platform"),
    }
    return {name: version or UNDEFINED for name, version in versions.items()}


def _shorten(digest: str | None) -> str:
    return digest[:DIGITS] if digest else UNDEFINED
