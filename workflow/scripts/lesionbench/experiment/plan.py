"""What an experiment consists of: studies, folds and runs, known before anything runs.

Imported while Snakemake parses, so it needs nothing beyond what `config` needs, and it writes nothing.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from lesionbench.data.split import Fold, make_folds
from lesionbench.data.studies import Study, find_predictions, find_registry, find_studies, phantom_studies
from lesionbench.errors import UserError
from lesionbench.experiment.config import resolve_config
from lesionbench.words import counted

CHECKOUT = Path(__file__).parents[4]
_FILLED_IN = re.compile(r"\{\s*[.\w]+\s*(,[^{}]*)?\}|<[a-z][a-z0-9_]*>")


class Run(NamedTuple):
    """A model's predictions of the test studies of a fold, and the seed that it was trained with."""

    model: str
    fold: int
    seed: int


@dataclass(frozen=True)
class Experiment:
    """A resolved configuration with the studies that it finds and the folds that it makes of them.

    registry: the data set's list of studies and classes, None where there is none.
    """

    settings: dict[str, Any]
    registry: Path | None
    studies: dict[str, Study]
    folds: dict[int, Fold]

    @cached_property
    def scans(self) -> list[str]:
        """All CT volumes."""
        return [str(study.ct) for study in self.studies.values() if study.ct]

    @cached_property
    def masks(self) -> list[str]:
        """All lesion masks."""
        return [str(study.mask) for study in self.studies.values() if study.mask]

    @cached_property
    def annotated(self) -> list[str]:
        """Names of the studies with a lesion mask."""
        return [study.name for study in self.studies.values() if study.mask]

    @cached_property
    def trained(self) -> list[str]:
        """The models that are trained here, in the order of the tables; the masks of the others come from elsewhere."""
        return [model for model in self.settings["compare"] if not self.predictions(model)]

    @cached_property
    def runs(self) -> list[Run]:
        """All runs, in the order of the tables. Masks from elsewhere know no seed: one run a fold, under the first."""
        seeds = self.settings["seeds"]
        return [
            Run(model, fold, seed)
            for model in self.settings["compare"]
            for fold in self.folds
            for seed in (seeds if model in self.trained else seeds[:1])
        ]

    @cached_property
    def trainings(self) -> list[Run]:
        """The runs of the models that are trained here."""
        return [run for run in self.runs if run.model in self.trained]

    def predictions(self, model: str) -> str | None:
        """Return the folder of masks that were made elsewhere, or None for a model that is trained here."""
        folder = self.settings["models"][model].get("predictions")
        return folder and str(Path(folder))

    def masks_from_elsewhere(self, model: str, fold: int) -> list[str]:
        """Return the files of those masks for a fold's test studies, in their order; none for a model trained here."""
        folder = self.predictions(model)
        return list(map(str, find_predictions(folder, self.folds[fold].test).values())) if folder else []

    def unfinished(self) -> str:
        """Return a sentence on the runs that have no scores yet, empty where all have."""
        scores = Path(self.settings["pathvars"].get("results", "results"), "metrics")
        missing = [
            f"{model} (fold {fold}, seed {seed})"
            for model, fold, seed in self.runs
            if not (scores / model / f"fold-{fold}" / f"seed-{seed}" / "studies.csv").is_file()
        ]
        if not missing:
            return ""
        return (
            f"{len(missing)} of {counted(len(self.runs), 'run')} without scores: {', '.join(missing)}. What has "
            "finished is kept: mend the cause above and run the same command again, or take the model out of `compare`."
        )

    def encoder_weights(self, model: str) -> list[str]:
        """Return the file of a model's encoder weights, or nothing for a model that is trained from scratch."""
        entry = self.settings["models"][model]
        weights = entry.get("encoder_weights")
        if weights == "imagenet":
            return [f"<resources>/weights/{entry['encoder']}.safetensors"]
        return [weights] if weights else []

    def label(self, model: str) -> str:
        """Return a model's name in tables and figures."""
        return self.settings["models"][model].get("label", model)


def plan_experiment(config: Mapping[str, Any]) -> Experiment:
    """Check the configuration, find the studies and divide them.

    Raises
    ------
    UserError
        where the configuration is wrong, the data set is not there, a file that the configuration names is missing, a
        mask from elsewhere is missing, a study to train on has no CT, or a slice to show is of no test study.
    """
    settings = resolve_config(config)
    phantom = settings["dataset"]["phantom"]
    root = Path("<results>/phantom") if phantom else Path(settings["dataset"]["root"])
    studies = phantom_studies(root, phantom) if phantom else find_studies(root)
    registry = root / "dataset_registry.csv" if phantom else find_registry(root)
    _check_files(settings)
    if any("architecture" in settings["models"][model] for model in settings["compare"]):
        _check_scans(studies, root)
    annotated = [study.name for study in studies if study.mask]
    folds = {fold.index: fold for fold in make_folds(annotated, settings["split"])}
    experiment = Experiment(settings, registry, {study.name: study for study in studies}, folds)
    _check_masks_from_elsewhere(experiment)
    _check_slices_to_show(experiment)
    _check_paths(experiment)
    return experiment


def read_reference_results(path: str | None) -> list[list[Any]]:
    """Return [model, mean Dice, maximum Dice] a row of a CSV with the columns model, mean_dice and max_dice."""
    if not path:
        return []
    try:
        with _find_reference_results(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        return [[row["model"], float(row["mean_dice"]), float(row["max_dice"])] for row in rows]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise UserError(
            f"reference_results: {path} is not a CSV in UTF-8 with the columns model, mean_dice and max_dice "
            f"({error}). Mend it, or write:\n  reference_results: null"
        ) from None


def _check_scans(studies: Sequence[Study], root: Path) -> None:
    annotated = [study for study in studies if study.mask]
    without_ct = [study.name for study in annotated if not study.ct]
    if without_ct:
        raise UserError(
            f"{_first(without_ct)}: {len(without_ct)} of {len(annotated)} masks have no CT in {root / 'studies'}. "
            "Unpack all of the archive there, name each CT as its study (STUDY.nii.gz or STUDY.nii), "
            "or remove these masks."
        )


def _check_masks_from_elsewhere(experiment: Experiment) -> None:
    tested = [study for fold in experiment.folds.values() for study in fold.test]
    for model in experiment.settings["compare"]:
        folder = experiment.predictions(model)
        files = find_predictions(folder, tested) if folder else {}
        missing = [study for study, path in files.items() if not path.is_file()]
        if missing:
            raise UserError(
                f"models.{model}.predictions: {len(missing)} of {len(tested)} test studies have no mask there "
                f"({_first(missing)}): {files[missing[0]]} and so on. Add what is missing, name each file as its study "
                "(.nii.gz or .nii, with or without _mask), or correct the path (relative to the working directory)."
            )


def _check_slices_to_show(experiment: Experiment) -> None:
    """Refuse a study of `figures.slices` before the trainings whose predictions the figures would show."""
    wanted = experiment.settings["figures"]["slices"]
    shown = experiment.folds[min(experiment.folds)].test
    unknown = [] if wanted == "auto" else [entry["study"] for entry in wanted if entry["study"] not in shown]
    if unknown:
        raise UserError(
            f"figures.slices: {_first(unknown)}: not a test study of the first fold. Choose from {', '.join(shown)}, "
            "or write:\n  slices: auto"
        )


def _check_paths(experiment: Experiment) -> None:
    """Refuse paths that Snakemake cannot read: it fills in `{x}` and `<x>` in every path and knows no escape for them.

    Source: `apply_wildcards` in snakemake.io, `Pathvars.apply` in snakemake.pathvars.
    """
    models = experiment.settings["compare"]
    folders = [folder for model in models if (folder := experiment.predictions(model))]
    scans = experiment.scans + experiment.masks
    names = scans if not experiment.settings["dataset"]["phantom"] else []
    for path in [*names, *folders, *(file for model in models for file in experiment.encoder_weights(model))]:
        if found := _FILLED_IN.search(path.removeprefix("<resources>")):
            raise UserError(
                f"{path}: Snakemake takes {found[0]} in a path for a name to fill in. Rename the file or folder, for "
                f"example with ({found[0][1:-1]}) in its place."
            )


def _first(names: Sequence[str], count: int = 5) -> str:
    return ", ".join(names[:count]) + (" …" if len(names) > count else "")


def _find_reference_results(path: str) -> Path:
    """Return the file below the working directory, or else below the checkout, where the paper's numbers lie.

    A workflow that uses this one as a module has no copy of them.
    """
    with_us = CHECKOUT / path
    return with_us if with_us.is_file() and not Path(path).is_file() else Path(path)


def _check_files(settings: Mapping[str, Any]) -> None:
    reference = settings["reference_results"]
    files = {"reference_results": str(_find_reference_results(reference)) if reference else None}
    for name in settings["compare"]:
        weights = settings["models"][name].get("encoder_weights")
        if weights != "imagenet":
            files[f"models.{name}.encoder_weights"] = weights
    for key, path in files.items():
        if path and not Path(path).is_file():
            raise UserError(f"{key}: there is no file {path}. Correct the path (relative to the working directory).")
