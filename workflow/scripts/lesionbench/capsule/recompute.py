"""What can be computed again of results, written beside them under the same names: splits, scores, comparison, tables.

A file may hold fewer columns or keys than the one in the results: those that can be computed without what is missing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lesionbench.capsule.contents import Finished, base, run_folder
from lesionbench.data.frames import read_frame, write_frame
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_mask
from lesionbench.data.split import write_fold
from lesionbench.data.studies import find_prediction
from lesionbench.data.volume import to_slices
from lesionbench.evaluation.comparison import compare_models, read_comparison, write_comparison
from lesionbench.evaluation.metrics import evaluate
from lesionbench.evaluation.scores import collect_scores
from lesionbench.evaluation.scoring import Scoring
from lesionbench.evaluation.selection import Sweep, read_validation
from lesionbench.evaluation.transfer import compare_sets
from lesionbench.experiment.rows import Run, Trained
from lesionbench.files import atomic
from lesionbench.progress import track
from lesionbench.report.checklist import Facts, checklist
from lesionbench.report.comparison_tables import make_tables
from lesionbench.report.cost import cost_table
from lesionbench.report.external_table import external_table
from lesionbench.report.findings_table import findings_table
from lesionbench.report.subgroup_table import subgroups
from lesionbench.report.subset_table import slices_by_subset
from lesionbench.report.sweep_tables import sweep_tables
from lesionbench.report.tables import Table, write_table
from lesionbench.training.runfile import read_contents

FORMATS = ("csv", "md", "tex", "html")
_VOLUMES = ("predicted_ml", "volume_difference_ml", "absolute_volume_difference_ml")


def redo_splits(results: Finished, folder: Path) -> None:
    """Divide the studies again, by the configuration and the inventory."""
    for fold in results.experiment.folds.values():
        write_fold(fold, folder / "splits" / f"fold-{fold.index}.csv")


def redo_data_tables(results: Finished, folder: Path) -> None:
    """Count slices by subset, and list the findings again."""
    experiment = results.experiment
    splits = {fold: read_frame(results.folder / f"splits/fold-{fold}.csv") for fold in experiment.folds}
    paper = bool(experiment.reference_results)
    table = slices_by_subset(results.inventory(), splits, experiment.preprocessing.plane, paper)
    _write(table, folder, "slices_by_subset")
    _write(findings_table(read_frame(results.folder / "dataset" / "findings.csv")), folder, "findings")


def redo_comparison(results: Finished, external: str | None, folder: Path) -> None:
    """Compare the models again on the data set or on an external set: the comparison and its tables."""
    experiment, runs = results.experiment, results.runs(external)
    cohort = experiment if external is None else experiment.external[external]
    paths = [results.folder / run_folder("metrics", run, external) for run in runs]
    comparison = compare_models(
        collect_scores([path / "studies.csv" for path in paths], results.counted(external)),
        collect_scores([path / "slices.csv" for path in paths], results.counted(external)),
        cohort.labels,
        [(*row,) for row in experiment.reference_results] if external is None else [],
        experiment.settings["evaluation"]["resamples"],
        cohort.patients,
        experiment.test_share if external is None else 0,
        {name: Sweep(**sweep) for name, sweep in experiment.sweeps.items()},
        _validation(results),
    )
    below = folder / base(external)
    write_comparison(comparison, below / "comparison.json")
    scoring = Scoring(**experiment.scoring)
    tables = make_tables(comparison, scoring)
    tables["subgroups"] = subgroups(comparison, results.inventory(external), scoring)
    tables |= sweep_tables(comparison) if experiment.sweeps else {}
    for name, table in tables.items():
        _write(table, below, name)


def _validation(results: Finished) -> pd.DataFrame:
    """Return the validation Dice of the trainings of sweeps."""
    runs = results.experiment.sweep_trainings
    folders = [results.folder / run_folder("models", run) for run in runs]
    histories, records = ([folder / file for folder in folders] for file in ("history.csv", "run.json"))
    return read_validation(histories, records, [list(run) for run in runs])


def redo_sets(results: Finished, folder: Path) -> None:
    """Set the external sets beside the data set again, by the comparisons that were computed again."""
    experiment = results.experiment
    own = read_comparison(folder / "comparison.json")
    sets = {
        label: read_comparison(folder / base(name) / "comparison.json") for name, label in experiment.set_labels.items()
    }
    found = compare_sets(own, sets, experiment.patients_by_set, experiment.dataset_label)
    _write(external_table(found), folder, "external_sets")


def redo_cost(results: Finished, folder: Path) -> None:
    """Compute the cost again, from the records. Networks are built without their weights, and take no memory."""
    experiment, runs = results.experiment, results.experiment.costed
    for run in experiment.trainings:
        if _record(results, run)["model"] != asdict(experiment.networks[run.model].entry):
            raise ValueError(f"a record of {run.model} names another network than the configuration")
    with torch.device("meta"):
        table = cost_table(
            [results.folder / run_folder("models", run) / "run.json" for run in runs],
            [results.folder / run_folder("predictions", run) for run in runs],
            [results.folder / "checks" / "models" / f"{model}.json" for model in experiment.networks],
            [list(run) for run in runs],
            experiment.costs,
            experiment.labels,
        )
    _write(table, folder, "cost")


def redo_checklist(results: Finished, folder: Path) -> None:
    """Fill in the checklist again."""
    experiment = results.experiment
    facts = Facts(
        experiment.used_settings,
        experiment.labels,
        experiment.elsewhere,
        read_comparison(results.folder / "comparison.json"),
        results.inventory(),
        [read_frame(results.folder / f"splits/fold-{fold}.csv") for fold in experiment.folds],
        [_record(results, run) for run in experiment.costed],
    )
    _write(checklist(facts), folder, "checklist")


def _record(results: Finished, run: Run) -> dict[str, Any]:
    path = results.folder / run_folder("models", run) / "run.json"
    return read_contents(path, ("environment", "device"))


def own_networks(results: Finished) -> list[str]:
    """Return the models whose networks are code of the user's, which is not executed here."""
    return [model for model, row in results.experiment.networks.items() if ":" in row.entry.architecture]


def redo_record(results: Finished, run: Run, folder: Path) -> None:
    """Write what a record must say by the configuration, the split and the history of the epochs."""
    experiment = results.experiment
    row: Trained = experiment.networks[run.model]
    history = read_frame(results.folder / run_folder("models", run) / "history.csv")
    subsets = experiment.subsets(run.fold)
    record = {
        "model": asdict(row.entry),
        "training": asdict(row.recipe),
        "preprocessing": asdict(row.preprocessing),
        "seed": run.seed,
        "fold": run.fold,
        "studies": {subset: subsets[subset] for subset in ("train", "validation")},
        "epochs": len(history),
        "seconds": float(sum(history["seconds"])),
    }
    with atomic(folder / run_folder("models", run) / "run.json") as path:
        path.write_text(json.dumps(record), encoding="utf-8")


def redo_counts(results: Finished, run: Run, external: str | None, folder: Path) -> None:
    """Count the predicted voxels of each slice again, in the masks; and what scores follow from those of slices."""
    plane, studies = results.experiment.preprocessing.plane, results.tested(run, external)
    cohort = results.experiment if external is None else results.experiment.external[external]
    reading = Reading(**cohort.mask_reading).predicted
    inside = run_folder("metrics", run, external)
    masks = results.folder / run_folder("predictions", run, external)
    counts = []
    for study in track(studies, "study"):
        mask = read_mask(find_prediction(masks, study), reading)
        voxels = np.count_nonzero(to_slices(mask.data, mask.affine, plane), axis=(1, 2))
        counts.append(pd.DataFrame({"study": study, "slice": range(len(voxels)), "predicted_voxels": voxels}))
    write_frame(pd.concat(counts, ignore_index=True), folder / inside / "slices.csv")
    slices = read_frame(results.folder / inside / "slices.csv")
    given = read_frame(results.folder / inside / "studies.csv").set_index("study").reindex(studies).to_dict("index")
    rows = [{"study": study, **_of_slices(slices[slices["study"] == study], given[study])} for study in studies]
    write_frame(pd.DataFrame(rows), folder / inside / "studies.csv")


def _of_slices(slices: pd.DataFrame, given: Mapping[Any, float]) -> dict[str, float]:
    """Return the scores of a study that those of its slices and the volume of its reference determine."""
    voxels, predicted = slices["reference_voxels"], slices["predicted_voxels"]
    both = round(float((slices["dice"] * (voxels + predicted)).sum()) / 2)
    ours, theirs = int(voxels.sum()), int(predicted.sum())
    counted = {"false_slices": int(((predicted > 0) & (voxels == 0)).sum())}
    if not ours:  # without the reference's volume nothing tells that of a voxel
        return counted | {name: given[name] for name in _VOLUMES} | {"dice": np.nan, "precision": np.nan}
    ml = given["reference_ml"] / ours
    volumes = (theirs * ml, (theirs - ours) * ml, abs(theirs - ours) * ml)
    return counted | {
        "dice": 2 * both / (ours + theirs),
        "precision": both / theirs if theirs else 0,
        "recall": both / ours,
        "nothing_predicted": float(not theirs),
        "relative_volume_difference": (theirs - ours) / ours,
        **dict(zip(_VOLUMES, volumes, strict=True)),
    }


def redo_scores(
    results: Finished, run: Run, external: str | None, references: Mapping[str, Path], folder: Path
) -> None:
    """Score a run's masks again, against the references, by study."""
    cohort = results.experiment if external is None else results.experiment.external[external]
    studies, slices = evaluate(
        references,
        results.folder / run_folder("predictions", run, external),
        results.experiment.preprocessing.plane,
        Scoring(**results.experiment.scoring),
        Reading(**cohort.mask_reading),
    )
    inside = folder / run_folder("metrics", run, external)
    write_frame(studies, inside / "studies.csv")
    write_frame(slices, inside / "slices.csv")


def _write(table: Table, folder: Path, name: str) -> None:
    write_table(table, [folder / "tables" / f"{name}.{suffix}" for suffix in FORMATS])


def written(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each file below a folder, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path
