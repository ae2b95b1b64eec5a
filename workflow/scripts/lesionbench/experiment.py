"""What an experiment consists of: studies, folds and runs, known before anything runs.

Imported while Snakemake parses, so it needs nothing beyond what `config` needs, and it writes nothing.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from lesionbench.config import resolve_config
from lesionbench.dataset import Study, find_registry, find_studies, phantom_studies
from lesionbench.errors import UserError
from lesionbench.split import Fold, make_folds


class Run(NamedTuple):
    """One training: a model, the fold that it is trained on, and its seed."""

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
    def runs(self) -> list[Run]:
        """All trainings, in the order of the tables."""
        settings = self.settings
        return [
            Run(model, fold, seed) for model in settings["compare"] for fold in self.folds for seed in settings["seeds"]
        ]

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
        where the configuration is wrong, the data set is not there or a file that the configuration names is missing.
    """
    settings = resolve_config(config)
    phantom = settings["dataset"]["phantom"]
    root = Path("<results>/phantom") if phantom else Path(settings["dataset"]["root"])
    studies = phantom_studies(root, phantom) if phantom else find_studies(root)
    registry = root / "dataset_registry.csv" if phantom else find_registry(root)
    annotated = [study.name for study in studies if study.mask]
    without_ct = [study.name for study in studies if study.mask and not study.ct]
    if without_ct:
        raise UserError(
            f"{', '.join(without_ct[:5])}{' …' if len(without_ct) > 5 else ''}: {len(without_ct)} of {len(annotated)} "
            f"masks have no CT in {root / 'studies'}. Unpack all of the archive there, or remove these masks."
        )
    _check_files(settings)
    folds = {fold.index: fold for fold in make_folds(annotated, settings["split"])}
    return Experiment(settings, registry, {study.name: study for study in studies}, folds)


def read_reference_results(path: str | None) -> list[list[Any]]:
    """Return [model, mean Dice, maximum Dice] a row of a CSV with the columns model, mean_dice and max_dice."""
    if not path:
        return []
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    try:
        return [[row["model"], float(row["mean_dice"]), float(row["max_dice"])] for row in rows]
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"reference_results: {path} is not a CSV with the columns model, mean_dice and max_dice ({error}). "
            "Mend it, or write:\n  reference_results: null"
        ) from None


def _check_files(settings: Mapping[str, Any]) -> None:
    files = {"reference_results": settings["reference_results"]}
    for name in settings["compare"]:
        weights = settings["models"][name].get("encoder_weights")
        if weights != "imagenet":
            files[f"models.{name}.encoder_weights"] = weights
    for key, path in files.items():
        if path and not Path(path).is_file():
            raise UserError(f"{key}: there is no file {path}. Correct the path (relative to the working directory).")
