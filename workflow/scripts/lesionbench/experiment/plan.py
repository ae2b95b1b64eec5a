"""What an experiment consists of: studies, folds and runs, known before anything runs.

Imported while Snakemake parses, so it needs nothing beyond what `config` needs, and it writes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any

from lesionbench.data.content import content
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.split import SUBSETS, Split, make_folds
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
from lesionbench.experiment.roster import Roster
from lesionbench.experiment.rows import Run, Trained, make_rows
from lesionbench.experiment.scan_sets import SEGMENTED, SEVERITY, ScanSet, check_segmenting, given_scans, unseen_studies
from lesionbench.experiment.sweeps import compared_sweeps
from lesionbench.models.programs import LEARNED
from lesionbench.words import counted


@dataclass(frozen=True)
class Experiment(Collection, Roster):
    """A resolved configuration with the studies that it finds, the folds that it makes of them, and its rows.

    registry: the data set's list of studies and classes, None where there is none; reference_results: the numbers to
    set beside ours, a row of model, mean Dice and maximum Dice each; external: further data sets to test on, by name.

    Methods take numbers as text too, as Snakemake's wildcards are; paths hold its path variables.
    """

    registry: Path | None
    reference_results: list[list[Any]]
    external: dict[str, Cohort]

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
    def dataset_label(self) -> str:
        """The data set in titles, captions and tables: `dataset.label`, or what its layout says."""
        if label := self.section["label"]:
            return str(label)
        if self.section["phantom"]:
            return "synthetic scans"
        is_mosmed = self.dataset.is_mosmed and self.categories == list(CATEGORIES)
        folder = Path(self.dataset.root).name.strip(".")
        return "MosMedData" if is_mosmed else folder or "the data set"

    @cached_property
    def annotated(self) -> list[str]:
        """Names of the studies with a lesion mask."""
        return [study.name for study in self.studies.values() if study.mask]

    @cached_property
    def test_share(self) -> float:
        """The test studies of a fold over those that train its networks, on average over folds."""
        return sum(len(fold.test) / len(fold.train) for fold in self.folds.values()) / len(self.folds)

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
    def lesion_scoring(self) -> dict[str, Any]:
        """What the number of lesions that are found depends on beside the masks."""
        return {"min_lesion_mm3": self.settings["evaluation"]["min_lesion_mm3"]}

    @cached_property
    def scan_sets(self) -> dict[str, ScanSet]:
        """The scans that are segmented beside the comparison: those of `segment.scans`, if there are any."""
        path, size = self.settings["segment"]["scans"], self.settings["segment"]["scans_per_job"]
        return {SEGMENTED: given_scans(path, self.section, self.folds, size)} if path else {}

    @cached_property
    def severity(self) -> ScanSet:
        """The studies with a class that a training has not seen. Raises UserError where nothing is to be compared."""
        if not self.segmenting:
            raise UserError(
                "severity: none of the compared models can segment the studies without a mask. Compare a network that "
                "is trained here."
            )
        return unseen_studies(self, self.folds.values(), self.settings["segment"]["scans_per_job"])

    @cached_property
    def first_fold(self) -> int:
        """The fold whose test studies the figures of slices show."""
        return min(self.folds)

    @cached_property
    def shows_ct(self) -> bool:
        """Whether there is a CT of every study whose slices figures show."""
        return all(self.studies[study].ct for study in self.tested(self.first_fold))

    @cached_property
    def viewed(self) -> list[str]:
        """The ranks of the studies that the report shows as volumes."""
        if not self.settings["figures"]["viewer"] or not self.shows_ct:
            return []
        few = {1: ["only"], 2: ["worst", "best"]}
        return few.get(len(self.tested(self.first_fold)), ["worst", "median", "best"])

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

    def masks_of_members(self, model: str, fold: int | str) -> list[str]:
        """Return the masks of a fold's test studies by an ensemble's members that were there before."""
        runs = self.member_runs(model, fold)
        return [str(path) for row, _ in runs for path in row.mask_files(self.tested(fold)).values()]

    def scored_content(self, model: str, fold: str) -> list[str]:
        """Return what changes with the content of the masks that a model is scored with."""
        elsewhere = [content(path) for path in self.masks_from_elsewhere(model, fold)]
        return self.contents(self.references(fold)) + elsewhere

    def plane(self, cut: str) -> str:
        """Return the plane of a cut."""
        return self.cuts[cut].plane

    def hu_window(self, cut: str) -> list[int]:
        """Return the Hounsfield window of a cut."""
        return list(self.cuts[cut].hu_window)

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

    def test_studies(self, data: str | None = None) -> str:
        """Return what captions say of the studies that scores stand on, with the name of the data set if given."""
        text = counted(sum(len(fold.test) for fold in self.folds.values()), "test study")
        text += f" of {data}" if data else ""
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

    def scan_set(self, scans: str) -> ScanSet:
        """Return a set of scans to segment by its name."""
        return self.severity if scans == SEVERITY else self.scan_sets[scans]

    def segmenting_runs(self, model: str, scans: str, part: str) -> list[tuple[Trained, Run]]:
        """Return the trainings whose mean probability segments a part of a set of scans."""
        return self.segmenting[model].segmenting_runs(self.scan_set(scans).part_folds(part), self.settings["seeds"])

    def segmenting_networks(self, model: str, scans: str, part: str) -> list[list[Any]]:
        """Return of each of those whether it predicts mirror images too, what it computes in, and where."""
        return [
            [row.mirroring, row.precision, row.recipe.device] for row, _ in self.segmenting_runs(model, scans, part)
        ]

    def segmenting_points(self, model: str, scans: str, part: str) -> list[Run]:
        """Return the runs of a model whose chosen operating points are averaged for a part of a set of scans."""
        row, folds = self.made_here[model], self.scan_set(scans).part_folds(part)
        return row.runs(folds, self.settings["seeds"]) if row.point.is_to_choose else []


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
    experiment = Experiment(
        settings=settings,
        folds=folds,
        rows=rows,
        all_rows=all_rows,
        sweeps=compared_sweeps(swept, list(rows)),
        dataset=dataset,
        studies=by_name,
        section=settings["dataset"],
        registry=registry,
        reference_results=reference,
        external=external,
    )
    check_masks_from_elsewhere(all_rows, [study for fold in folds.values() for study in fold.test])
    check_slices_to_show(settings["figures"]["slices"], experiment.tested(experiment.first_fold))
    check_paths([] if phantom else [*by_name, *experiment.scans, *experiment.masks], all_rows)
    for cohort in external.values():
        check_paths([*cohort.studies, *cohort.scans, *cohort.masks], cohort.rows)
    check_segmenting(settings["segment"], rows)
    for scans in experiment.scan_sets.values():
        check_paths([*scans.studies, *scans.scans], {})
    return experiment


def planned(method: Callable[..., Any]) -> Callable[[Mapping[str, str]], Any]:
    """Return a function of wildcards: what a method of the plan says of those that its parameters are named after."""
    names = signature(method).parameters
    return lambda wildcards: method(**{name: wildcards[name] for name in names})
