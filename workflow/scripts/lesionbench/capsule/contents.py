"""What a capsule holds of finished results, and the experiment that they say they are of.

Results and an unpacked capsule have the same files, so both are read here. Nothing of a configuration is looked up: no
data set, no folder of masks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from lesionbench.data.frames import read_frame
from lesionbench.data.split import Fold, Split, make_folds, read_split_file
from lesionbench.data.studies import DataSet, Study, find_prediction
from lesionbench.errors import UserError
from lesionbench.experiment.cohort import Cohort
from lesionbench.experiment.config import check_resolved
from lesionbench.experiment.plan import Experiment
from lesionbench.experiment.rows import Row, Run, make_rows
from lesionbench.files import read_json

CONFIG = "config.json"
KEYS = ("config", "reference_results", "sweeps", "environment")  # of that file
INVENTORY = "dataset/studies.csv"


@dataclass(frozen=True)
class Finished:
    """Results, the experiment that they are of, and the versions that made their tables."""

    folder: Path
    experiment: Experiment
    environment: Mapping[str, Any]

    def inventory(self, external: str | None = None) -> pd.DataFrame:
        """Return the inventory of the data set or of an external set, a row a study."""
        return read_frame(self.folder / base(external) / INVENTORY)

    def runs(self, external: str | None = None) -> list[Run]:
        """Return the runs that are scored on the data set or on an external set."""
        return self.experiment.runs if external is None else self.experiment.external_runs(external)

    def counted(self, external: str | None = None) -> list[list[Any]]:
        """Return model, fold and seed of each of `runs`, as the comparison counts them."""
        if external is None:
            return [list(run) for run in self.experiment.runs]
        return self.experiment.external_trainings(external)

    def tested(self, run: Run, external: str | None = None) -> list[str]:
        """Return the studies that a run is scored on."""
        return self.experiment.tested(run.fold) if external is None else self.experiment.external[external].names

    @property
    def sets(self) -> list[str | None]:
        """The data set, None, and the external sets."""
        return [None, *self.experiment.external]


def read_finished(folder: Path) -> Finished:
    """Read which experiment results are of. Raises UserError where they are not whole, or damaged."""
    path = folder / CONFIG
    try:
        content = read_json(path)
        config, reference, sweeps, environment = (content[key] for key in KEYS)
        settings = check_resolved(config)
        experiment = _experiment(folder, settings, reference, sweeps)
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing. Give the folder of finished results; if they are of an earlier version, run the "
            "workflow again."
        ) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as the configuration of results ({error}).") from error
    return Finished(folder, experiment, environment)


def _experiment(
    folder: Path, settings: dict[str, Any], reference: list[list[Any]], sweeps: dict[str, Any]
) -> Experiment:
    all_rows = make_rows(settings["models"], settings["compare"], settings["training"]["device"])
    rows = {model: all_rows[model] for model in settings["compare"]}
    studies = _read_studies(folder / INVENTORY)
    folds = {fold.index: fold for fold in _folds(folder, settings["split"], studies)}
    cohorts = {name: _cohort(folder, name, section, rows) for name, section in settings["external"].items()}
    return Experiment(
        settings=settings,
        folds=folds,
        rows=rows,
        all_rows=all_rows,
        sweeps=sweeps,
        dataset=DataSet.of(settings["dataset"]),
        studies=studies,
        section=settings["dataset"],
        registry=None,
        reference_results=reference,
        external=cohorts,
    )


def _cohort(folder: Path, name: str, section: Mapping[str, Any], rows: Mapping[str, Row]) -> Cohort:
    studies = _read_studies(folder / base(name) / INVENTORY)
    masked = {study.name: study for study in studies.values() if study.mask}
    tested = {model: row for model, row in rows.items() if row.is_tested_on(name)}
    dataset = DataSet.of(section, f"external.{name}")
    return Cohort(dataset, masked, section, name, section.get("label", name), tested)


def _folds(folder: Path, split: Mapping[str, Any], studies: Mapping[str, Study]) -> list[Fold]:
    """Return the folds that the configuration makes; those of a user's file are checked and taken as they stand."""
    patients = {study.name: study.patient or study.name for study in studies.values() if study.mask}
    if not split["file"]:
        return make_folds(patients, Split(**split), {study.name: study.set for study in studies.values()})
    files = {int(path.stem.removeprefix("fold-")): path for path in (folder / "splits").glob("fold-*.csv")}
    return [replace(read_split_file(files[fold], patients)[0], index=fold) for fold in sorted(files)]


def _read_studies(path: Path) -> dict[str, Study]:
    """Return the studies of an inventory; their paths are as it says, below the data set's root."""
    rows = read_frame(path).to_dict("records")
    return {
        row["study"]: Study(
            row["study"],
            row["category"] or None,
            Path(row["ct"]) if row["ct"] else None,
            Path(row["mask"]) if row["mask"] else None,
            row.get("patient") or None,
            set=row.get("set") or None,
        )
        for row in rows
    }


def base(external: str | None) -> str:
    """Return the folder of the results of the data set, or of an external set, below all results."""
    return f"external/{external}" if external else "."


def run_folder(kind: str, run: Run, external: str | None = None) -> Path:
    """Return the folder of a run's `kind` (predictions, metrics, models) below the results."""
    return Path(base(external), kind, run.model, f"fold-{run.fold}", f"seed-{run.seed}")


def files_of(results: Finished) -> dict[str, Path]:
    """Return the file behind each name in a capsule. Raises UserError, naming the first, where one is missing."""
    folder, experiment = results.folder, results.experiment
    wanted = {name: folder / name for name in [CONFIG, "summary.html"]}
    wanted |= {f"splits/fold-{fold}.csv": folder / f"splits/fold-{fold}.csv" for fold in experiment.folds}
    inside = [run_folder("models", run) / "history.csv" for run in experiment.trainings]
    for run in experiment.costed:
        inside += [run_folder("models", run) / "run.json", run_folder("predictions", run) / "seconds.csv"]
    wanted |= {path.as_posix(): folder / path for path in inside}
    for model in experiment.networks:
        wanted[f"checks/models/{model}.json"] = folder / "checks" / "models" / f"{model}.json"
    for external in results.sets:
        wanted |= dict(_of_set(results, external))
    for path in folder.glob("models/*/*/*/operating_point.json"):
        wanted[path.relative_to(folder).as_posix()] = path
    if missing := [path for path in wanted.values() if not path.is_file()]:
        raise UserError(f"{missing[0]} is missing: the results are not finished. Run the workflow to its end.")
    return wanted


def _of_set(results: Finished, external: str | None) -> Iterator[tuple[str, Path]]:
    """Yield name and file of what belongs to the data set, or to an external set."""
    folder = results.folder / base(external)
    for file in ("studies.csv", "classes.csv", "findings.csv"):
        yield (Path(base(external)) / "dataset" / file).as_posix(), folder / "dataset" / file
    yield (Path(base(external)) / "comparison.json").as_posix(), folder / "comparison.json"
    for path in sorted(folder.glob("tables/*.*")):
        yield (Path(base(external)) / "tables" / path.name).as_posix(), path
    for run in results.runs(external):
        for file in ("studies.csv", "slices.csv"):
            inside = run_folder("metrics", run, external) / file
            yield inside.as_posix(), results.folder / inside
        masks = masks_folder(results, run, external)
        for study in results.tested(run, external):
            path = find_prediction(masks, study)
            suffix = ".nii.gz" if path.name.lower().endswith(".gz") else ".nii"
            yield (run_folder("predictions", run, external) / f"{study}{suffix}").as_posix(), path


def masks_folder(results: Finished, run: Run, external: str | None) -> Path:
    """Return where a run's masks lie: below the results, or where they were made."""
    row = results.experiment.all_rows[run.model]
    if row.made_here:
        return results.folder / run_folder("predictions", run, external)
    return Path(row.masks(run.fold, run.seed) if external is None else row.external_masks(external, *run[1:]))
