"""Which models an experiment has, what each is made with, and the runs that they come to."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lesionbench.data.split import Fold
from lesionbench.errors import UserError
from lesionbench.experiment.digest import code_digest
from lesionbench.experiment.rows import Elsewhere, Ensemble, MadeHere, Method, Row, Run, Trained
from lesionbench.training.trackers import check_trackers
from lesionbench.words import counted


@dataclass(frozen=True)
class Roster:
    """The rows of an experiment and their runs.

    settings: the resolved configuration; folds: by number; rows: the models that are compared, by name, in the order of
    the tables; all_rows: those and the further members of ensembles; sweeps: the label and the compared `rows` of each
    sweep, by its model.
    """

    settings: dict[str, Any]
    folds: dict[int, Fold]
    rows: dict[str, Row]
    all_rows: dict[str, Row]
    sweeps: dict[str, dict[str, Any]]

    @cached_property
    def labels(self) -> dict[str, str]:
        """The models' names in tables and figures, in their order."""
        return {model: row.label for model, row in self.rows.items()}

    @cached_property
    def all_labels(self) -> dict[str, str]:
        """The same, and those of further members of ensembles."""
        return {model: row.label for model, row in self.all_rows.items()}

    @cached_property
    def networks(self) -> dict[str, Trained]:
        """The rows that are trained here, with those that are members of ensembles only."""
        return {model: row for model, row in self.all_rows.items() if isinstance(row, Trained)}

    @cached_property
    def network_labels(self) -> dict[str, str]:
        """The names of the models that are trained here."""
        return {model: row.label for model, row in self.networks.items()}

    @cached_property
    def made_here(self) -> dict[str, MadeHere]:
        """The rows whose masks rules make."""
        return {model: row for model, row in self.all_rows.items() if isinstance(row, MadeHere)}

    @cached_property
    def ensembles(self) -> dict[str, Ensemble]:
        """The rows that average others."""
        return {model: row for model, row in self.rows.items() if isinstance(row, Ensemble)}

    @cached_property
    def methods(self) -> dict[str, Method]:
        """The rows that an external method makes, with those that are members of ensembles only."""
        return {model: row for model, row in self.all_rows.items() if isinstance(row, Method)}

    @cached_property
    def costs(self) -> dict[str, list[str]]:
        """The trained models whose costs are added for each row of the table of costs."""
        trained = self.networks.keys() | self.methods.keys()
        alone = {model: [model] for model in self.rows if model in trained}
        members = {
            model: [member.model for member in row.members if member.model in trained]
            for model, row in self.ensembles.items()
        }
        return {model: (alone | members)[model] for model in self.rows if (alone | members).get(model)}

    @cached_property
    def best_epoch_by(self) -> dict[str, str]:
        """What the best epoch of each model that is trained here is judged by."""
        return {model: row.recipe.best_epoch_by for model, row in self.networks.items()}

    @cached_property
    def runs(self) -> list[Run]:
        """All runs, in the order of the tables."""
        return [run for row in self.rows.values() for run in row.runs(self.folds, self.settings["seeds"])]

    @cached_property
    def trainings(self) -> list[Run]:
        """The runs of the models that are trained here."""
        return [run for row in self.networks.values() for run in row.runs(self.folds, self.settings["seeds"])]

    @cached_property
    def method_runs(self) -> list[Run]:
        """The runs of external methods."""
        return [run for row in self.methods.values() for run in row.runs(self.folds, self.settings["seeds"])]

    @cached_property
    def costed(self) -> list[Run]:
        """The runs whose time and memory are known: those of networks, then those of external methods."""
        return [*self.trainings, *self.method_runs]

    @cached_property
    def sweep_trainings(self) -> list[Run]:
        """The runs of the rows of sweeps that are trained here."""
        swept = {model for sweep in self.sweeps.values() for model in sweep["rows"]}
        return [run for run in self.trainings if run.model in swept]

    @cached_property
    def choices(self) -> list[Run]:
        """The runs whose operating point is chosen on validation studies."""
        rows = [row for row in self.made_here.values() if row.point.is_to_choose]
        return [run for row in rows for run in row.runs(self.folds, self.settings["seeds"])]

    @cached_property
    def choice_labels(self) -> dict[str, str]:
        """The names of the models whose operating points are chosen."""
        return {run.model: self.made_here[run.model].label for run in self.choices}

    @cached_property
    def calibrated(self) -> list[Run]:
        """The runs whose probabilities are judged, where they are kept; that of an external method may leave none."""
        kept = self.settings["evaluation"]["probabilities"]
        rows = [row for row in self.rows.values() if kept and isinstance(row, MadeHere) and row.needs_ct]
        return [run for row in rows for run in row.runs(self.folds, self.settings["seeds"])]

    @cached_property
    def calibrated_labels(self) -> dict[str, str]:
        """The names of the models whose probabilities are judged."""
        return {run.model: self.rows[run.model].label for run in self.calibrated}

    @cached_property
    def segmenting(self) -> dict[str, Row]:
        """The rows that segment further scans."""
        wanted = self.settings["segment"]["models"] or list(self.rows)
        return {model: row for model, row in self.rows.items() if row.can_segment and model in wanted}

    @cached_property
    def segmenting_labels(self) -> dict[str, str]:
        """Their names in tables and figures."""
        return {model: row.label for model, row in self.segmenting.items()}

    @cached_property
    def elsewhere(self) -> dict[str, str]:
        """The folders of the rows whose masks were made elsewhere, by their names in words."""
        return {row.label: row.folder for row in self.rows.values() if isinstance(row, Elsewhere)}

    @cached_property
    def used_settings(self) -> dict[str, Any]:
        """What the numbers depend on: the settings without figures, folders, further scans, notices and idle models."""
        used = {model: _without_log(self.settings["models"][model]) for model in self.all_rows}
        dataset = dict(self.settings["dataset"])
        if dataset["phantom"]:
            del dataset["root"]
        idle = ("figures", "notify", "pathvars", "segment")
        settings = _without_log({key: value for key, value in self.settings.items() if key not in idle})
        return settings | {"dataset": dataset, "models": used}

    def member_runs(self, model: str, fold: int | str) -> list[tuple[Row, Run]]:
        """Return the runs that an ensemble averages in a fold."""
        return self.ensembles[model].member_runs(int(fold), self.settings["seeds"])

    def member_external_runs(self, model: str) -> list[tuple[Row, Run]]:
        """Return the runs that an ensemble averages on external sets."""
        return self.ensembles[model].member_external_runs(sorted(self.folds), self.settings["seeds"])

    def encoder_weights(self, model: str) -> list[str]:
        """Return the file of pretrained encoder weights that a model's training starts from, or nothing."""
        return self.networks[model].encoder_weights

    def network(self, model: str) -> dict[str, Any]:
        """Return what a training builds."""
        return asdict(self.networks[model].entry)

    def trials(self) -> dict[str, dict[str, Any]]:
        """Return what each network is tried with, by model, before anything is trained."""
        return {model: row.trial for model, row in self.networks.items()}

    def seen(self) -> dict[str, dict[str, Any]]:
        """Return what decides the sizes of the slices that each network sees, by model."""
        kept = ("plane", "spacing", "size")
        networks = self.networks.items()
        return {model: {key: getattr(row.preprocessing, key) for key in kept} for model, row in networks}

    def cut(self, model: str) -> str:
        """Return the name of the cut into slices that a network sees."""
        return self.networks[model].preprocessing.cut

    def model_preprocessing(self, model: str) -> dict[str, Any]:
        """Return what becomes of a CT before a network sees it."""
        return asdict(self.networks[model].preprocessing)

    def trial_code(self) -> str:
        """Return the digest of what the trials of all networks execute."""
        return code_digest("try_models", {name for row in self.networks.values() for name in row.network_code})

    def recipe(self, model: str) -> dict[str, Any]:
        """Return how a training is done."""
        return asdict(self.networks[model].recipe)

    def log(self, model: str) -> list[str]:
        """Return the trackers that get the history of a model's trainings."""
        return list(self.networks[model].log)

    def device(self, model: str) -> str:
        """Return where a model computes."""
        return self.networks[model].recipe.device

    def point(self, model: str) -> dict[str, Any]:
        """Return where a model's probabilities become lesion."""
        return asdict(self.made_here[model].point)

    def keeps_probabilities(self, model: str) -> bool:
        """Return whether a model's probabilities are kept beside its masks."""
        members = {member.model for row in self.ensembles.values() for member in row.members}
        return self.settings["evaluation"]["probabilities"] or model in members

    def mirroring(self, model: str) -> bool:
        """Return whether a model predicts mirror images too."""
        return self.networks[model].mirroring

    def precision(self, model: str) -> str:
        """Return what a model predicts in: training, float32 or bfloat16."""
        return self.networks[model].precision

    def training_code(self, model: str) -> str:
        """Return the digest of what a model's training executes."""
        return code_digest("train", self.networks[model].code)

    def check_programs(self, models: Iterable[str]) -> None:
        """Refuse external methods whose program or environment is not there. Raises UserError that says what to do."""
        for model in models:
            try:
                self.methods[model].program.full_command  # noqa: B018
            except UserError as error:
                raise UserError(f"models.{model}: {error}") from None

    def check_trackers(self, models: Iterable[str]) -> None:
        """Refuse a tracker of models to train that is not installed. Raises UserError that says what to do."""
        for model in models:
            check_trackers(self.networks[model].log)

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
            "finished is kept: correct the cause above and run the same command again, or take the model out of "
            "`compare`."
        )


def _without_log(section: dict[str, Any]) -> dict[str, Any]:
    """Return a section with a recipe in it, less the trackers that get its history."""
    recipe = {key: value for key, value in section.get("training", {}).items() if key != "log"}
    return section | ({"training": recipe} if "training" in section else {})
