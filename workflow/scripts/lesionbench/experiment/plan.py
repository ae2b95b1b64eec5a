"""What an experiment consists of: studies, folds and runs, known before anything runs.

Imported while Snakemake parses, so it needs nothing beyond what `config` needs, and it writes nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any

from lesionbench.data.content import content
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.split import SUBSETS, Fold, Split, make_folds
from lesionbench.data.studies import (
    CATEGORIES,
    DataSet,
    Phantom,
    find_registry,
    find_studies,
    phantom_studies,
)
from lesionbench.errors import UserError
from lesionbench.experiment.checks import (
    check_files,
    check_masks_from_elsewhere,
    check_paths,
    check_scans,
    check_slices_to_show,
    read_reference_results,
)
from lesionbench.experiment.cohort import Cohort, find_cohorts
from lesionbench.experiment.collection import Collection
from lesionbench.experiment.config import resolve_with_sweeps
from lesionbench.experiment.digest import code_digest
from lesionbench.experiment.rows import Elsewhere, Ensemble, MadeHere, Method, Row, Run, Trained, make_rows
from lesionbench.experiment.sweeps import compared_sweeps
from lesionbench.models.programs import LEARNED
from lesionbench.words import counted


@dataclass(frozen=True)
class Experiment(Collection):
    """A resolved configuration with the studies that it finds, the folds that it makes of them, and its rows.

    registry: the data set's list of studies and classes, None where there is none;
    rows: the models that are compared, by name, in the order of the tables; all_rows: those and the further members of
    ensembles; reference_results: the numbers to set beside ours, a row of model, mean Dice and maximum Dice each;
    external: further data sets to test on, by name; sweeps: the label and the compared `rows` of
    each sweep, by its model.

    Methods take numbers as text too, as Snakemake's wildcards are; paths hold its path variables.
    """

    settings: dict[str, Any]
    registry: Path | None
    folds: dict[int, Fold]
    rows: dict[str, Row]
    all_rows: dict[str, Row]
    reference_results: list[list[Any]]
    external: dict[str, Cohort]
    sweeps: dict[str, dict[str, Any]]

    @cached_property
    def annotated_scans(self) -> list[str]:
        """The CT volumes of the studies with a lesion mask."""
        return [str(study.ct) for study in self.studies.values() if study.ct and study.mask]

    @cached_property
    def categories(self) -> list[str]:
        """The classes of the studies in their order: MosMedData's, or all that the data set names."""
        found = {study.category for study in self.studies.values() if study.category}
        unknown = self.dataset.table and not found
        is_mosmed = self.dataset.is_mosmed and found <= set(CATEGORIES) and not unknown
        return list(CATEGORIES) if is_mosmed else sorted(found)

    @cached_property
    def annotated(self) -> list[str]:
        """Names of the studies with a lesion mask."""
        return [study.name for study in self.studies.values() if study.mask]

    @cached_property
    def test_share(self) -> float:
        """The test studies of a fold over those that train its networks, on average over folds."""
        return sum(len(fold.test) / len(fold.train) for fold in self.folds.values()) / len(self.folds)

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
    def cuts(self) -> dict[str, Preprocessing]:
        """All ways in which slices are cut, by their names."""
        own = [row.preprocessing for row in self.networks.values()]
        return {preprocessing.cut: preprocessing for preprocessing in [self.preprocessing, *own]}

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The section of the configuration: its plane is the one in which slices are counted, scored and shown."""
        return Preprocessing(**self.settings["preprocessing"])

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
    def lesion_scoring(self) -> dict[str, Any]:
        """What the number of lesions that are found depends on beside the masks."""
        return {"min_lesion_mm3": self.settings["evaluation"]["min_lesion_mm3"]}

    @cached_property
    def first_fold(self) -> int:
        """The fold whose test studies the figures of slices show."""
        return min(self.folds)

    @cached_property
    def shows_ct(self) -> bool:
        """Whether there is a CT of every study whose slices figures show."""
        return all(self.studies[study].ct for study in self.tested(self.first_fold))

    @cached_property
    def elsewhere(self) -> dict[str, str]:
        """The folders of the rows whose masks were made elsewhere, by their names in words."""
        return {row.label: row.folder for row in self.rows.values() if isinstance(row, Elsewhere)}

    @cached_property
    def set_labels(self) -> dict[str, str]:
        """The external sets in tables and figures, in their order."""
        return {name: cohort.label for name, cohort in self.external.items()}

    @cached_property
    def patients_by_set(self) -> list[dict[str, str]]:
        """The patient of each study: of the data set, then of each external set."""
        return [self.patients, *(cohort.patients for cohort in self.external.values())]

    @cached_property
    def scoring(self) -> dict[str, Any]:
        """What the scores of a mask depend on; the threshold has already made the mask."""
        return {key: self.settings["evaluation"][key] for key in ("min_lesion_mm3", "surface_tolerance_mm")}

    @cached_property
    def used_settings(self) -> dict[str, Any]:
        """What the numbers depend on: the settings without figures, folders and models that are not compared."""
        used = {model: self.settings["models"][model] for model in self.all_rows}
        return {key: value for key, value in self.settings.items() if key not in ("figures", "pathvars")} | {
            "models": used
        }

    def subsets(self, fold: int | str) -> dict[str, list[str]]:
        """Return the names of the studies in each subset of a fold."""
        return {subset: list(getattr(self.folds[int(fold)], subset)) for subset in SUBSETS}

    def subset(self, fold: int | str, subset: str) -> list[str]:
        """Return the names of the studies in a subset of a fold."""
        return self.subsets(fold)[subset]

    def tested(self, fold: int | str) -> list[str]:
        """Return the names of the test studies of a fold."""
        return self.subset(fold, "test")

    def references(self, fold: int | str, subset: str = "test") -> list[str]:
        """Return the reference masks of the studies in a subset of a fold."""
        return [self.mask(study) for study in self.subset(fold, subset)]

    def masks_from_elsewhere(self, model: str, fold: int | str) -> list[str]:
        """Return the masks of a fold's test studies that were there before; none for a model that is trained here."""
        return [str(path) for path in self.all_rows[model].mask_files(self.tested(fold)).values()]

    def member_runs(self, model: str, fold: int | str) -> list[tuple[Row, Run]]:
        """Return the runs that an ensemble averages in a fold."""
        return self.ensembles[model].member_runs(int(fold), self.settings["seeds"])

    def member_external_runs(self, model: str) -> list[tuple[Row, Run]]:
        """Return the runs that an ensemble averages on external sets."""
        return self.ensembles[model].member_external_runs(sorted(self.folds), self.settings["seeds"])

    def masks_of_members(self, model: str, fold: int | str) -> list[str]:
        """Return the masks of a fold's test studies by an ensemble's members that were there before."""
        runs = self.member_runs(model, fold)
        return [str(path) for row, _ in runs for path in row.mask_files(self.tested(fold)).values()]

    def scored_content(self, model: str, fold: str) -> list[str]:
        """Return what changes with the content of the masks that a model is scored with."""
        elsewhere = [content(path) for path in self.masks_from_elsewhere(model, fold)]
        return self.contents(self.references(fold)) + elsewhere

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

    def plane(self, cut: str) -> str:
        """Return the plane of a cut."""
        return self.cuts[cut].plane

    def hu_window(self, cut: str) -> list[int]:
        """Return the Hounsfield window of a cut."""
        return list(self.cuts[cut].hu_window)

    def model_preprocessing(self, model: str) -> dict[str, Any]:
        """Return what becomes of a CT before a network sees it."""
        return asdict(self.networks[model].preprocessing)

    def trial_code(self) -> str:
        """Return the digest of what the trials of all networks execute."""
        return code_digest("try_models", {name for row in self.networks.values() for name in row.network_code})

    def recipe(self, model: str) -> dict[str, Any]:
        """Return how a training is done."""
        return asdict(self.networks[model].recipe)

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

    def handed(self, fold: int | str) -> list[tuple[Collection, str, str]]:
        """Return the studies that an external method is given in a fold: where each is from, its name and subset."""
        own: list[tuple[Collection, str, str]] = [
            (self, study, subset) for subset, studies in self.subsets(fold).items() for study in studies
        ]
        further = [(cohort, study) for cohort in self.external.values() for study in cohort.studies]
        return own + [(cohort, study, f"external/{cohort.name}") for cohort, study in further]

    def handed_studies(self, fold: int | str) -> list[list[Any]]:
        """Return name, subset and reading of the studies that an external method is given.

        Of those that it is given no mask of, the labels that are lesion do not matter.
        """
        listed: list[list[Any]] = []
        for source, study, subset in self.handed(fold):
            unread = {} if subset in LEARNED else {"lesion_labels": None}
            listed.append([study, subset, source.study_reading(study) | unread])
        return listed

    def handed_scans(self, fold: int | str) -> list[str]:
        """Return their CT volumes."""
        return [source.ct(study) for source, study, _ in self.handed(fold)]

    def handed_masks(self, fold: int | str) -> list[str]:
        """Return the masks of those to learn from: of the test and of external sets a method sees none."""
        return [source.mask(study) for source, study, subset in self.handed(fold) if subset in LEARNED]

    def handed_content(self, fold: int | str) -> list[str]:
        """Return what changes with the content of what an external method is given."""
        scans = [content for source, study, _ in self.handed(fold) for content in source.contents([source.ct(study)])]
        return scans + self.contents(self.handed_masks(fold))

    def test_studies(self) -> str:
        """Return what captions say of the studies that all tables and figures of scores stand on."""
        text = counted(sum(len(fold.test) for fold in self.folds.values()), "test study")
        several = any(len(row.runs([0], self.settings["seeds"])) > 1 for row in self.all_rows.values())
        return f"{text} (averaged over {len(self.settings['seeds'])} seeds)" if several else text

    def shown_studies(self, model: str | None = None) -> str:
        """Return what captions say of the studies whose slices figures show; with a model, of its predictions."""
        text = counted(len(self.folds[self.first_fold].test), "test study")
        if len(self.folds) > 1:
            text += f" of fold {self.first_fold}"
        rows = self.all_rows.values() if model is None else [self.all_rows[model]]
        several = any(len(row.runs([0], self.settings["seeds"])) > 1 for row in rows)
        return f"{text} (seed {self.settings['seeds'][0]})" if several else text

    def external_runs(self, external: str) -> list[Run]:
        """Return the runs that are tested on an external set, in the order of the tables.

        Of masks from elsewhere and of an ensemble there is one run, under the first fold.
        """
        rows, folds = self.external[external].rows.values(), sorted(self.folds)
        return [run for row in rows for run in row.external_runs(folds, self.settings["seeds"])]

    def external_trainings(self, external: str) -> list[list[Any]]:
        """Return what stands for `external_runs` in a comparison: a model, fold 0, and the number of its training.

        There are no folds, since each network is tested on all studies.
        """
        seeds = self.settings["seeds"]
        return [
            [model, 0, list(self.folds).index(fold) * len(seeds) + seeds.index(seed)]
            for model, fold, seed in self.external_runs(external)
        ]

    def check_programs(self, models: Iterable[str]) -> None:
        """Refuse external methods whose program or environment is not there. Raises UserError that says what to do."""
        for model in models:
            try:
                self.methods[model].program.full_command  # noqa: B018
            except UserError as error:
                raise UserError(f"models.{model}: {error}") from None

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


def plan_experiment(config: Mapping[str, Any]) -> Experiment:
    """Check the configuration, find the studies and divide them.

    Raises
    ------
    UserError
        where the configuration is wrong, two models have one label, the data set is not there, a file that the
        configuration names is missing, a mask from elsewhere is missing, a study to train on has no CT, or a slice to
        show is of no test study.
    """
    settings, swept = resolve_with_sweeps(config)
    phantom = settings["dataset"]["phantom"]
    dataset = DataSet("<results>/phantom") if phantom else DataSet.of(settings["dataset"])
    root = Path(dataset.root)
    studies = phantom_studies(root, Phantom(**phantom)) if phantom else find_studies(dataset)
    registry = root / "dataset_registry.csv" if phantom else find_registry(root) if dataset.is_mosmed else None
    all_rows = make_rows(settings["models"], settings["compare"], settings["training"]["device"])
    rows = {model: all_rows[model] for model in settings["compare"]}
    check_files(settings, all_rows)
    reference = read_reference_results(settings["reference_results"])
    if any(row.needs_ct for row in rows.values()):
        check_scans(studies, dataset)
    patients = {study.name: study.patient or study.name for study in studies if study.mask}
    sets = {study.name: study.set for study in studies}
    folds = {fold.index: fold for fold in make_folds(patients, Split(**settings["split"]), sets)}
    by_name = {study.name: study for study in studies}
    external = find_cohorts(settings, rows, all_rows, studies)
    sweeps = compared_sweeps(swept, list(rows))
    experiment = Experiment(
        dataset, by_name, settings["dataset"], settings, registry, folds, rows, all_rows, reference, external, sweeps
    )
    check_masks_from_elsewhere(all_rows, [study for fold in folds.values() for study in fold.test])
    check_slices_to_show(settings["figures"]["slices"], experiment.tested(experiment.first_fold))
    check_paths([] if phantom else [*by_name, *experiment.scans, *experiment.masks], all_rows)
    for cohort in external.values():
        check_paths([*cohort.studies, *cohort.scans, *cohort.masks], cohort.rows)
    return experiment


def planned(method: Callable[..., Any]) -> Callable[[Mapping[str, str]], Any]:
    """Return a function of wildcards: what a method of the plan says of those that its parameters are named after."""
    names = signature(method).parameters
    return lambda wildcards: method(**{name: wildcards[name] for name in names})
