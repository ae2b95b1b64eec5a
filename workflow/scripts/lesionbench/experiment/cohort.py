"""External data sets: the models are tested on their studies, and nothing is learned or chosen on them.

Imported while Snakemake parses the workflow, so it needs nothing beyond what `config` needs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lesionbench.data.studies import DataSet, Study, find_registry, find_studies
from lesionbench.errors import UserError
from lesionbench.experiment.collection import Collection
from lesionbench.experiment.config import check_labels
from lesionbench.experiment.rows import Elsewhere, Row
from lesionbench.files import refuse_links_to_nothing
from lesionbench.words import counted, first_few


@dataclass(frozen=True)
class Cohort(Collection):
    """An external data set: its studies with a lesion mask, and the rows of the comparison that are tested on it.

    name: in paths and in the configuration; label: in tables and figures.
    """

    name: str
    label: str
    rows: dict[str, Row]

    @property
    def key(self) -> str:
        """Its section of the configuration."""
        return f"external.{self.name}"

    @property
    def root(self) -> str:
        """Its folder."""
        return str(self.dataset.root)

    @property
    def names(self) -> list[str]:
        """The names of its studies."""
        return list(self.studies)

    @cached_property
    def categories(self) -> list[str]:
        """The classes of its studies."""
        return sorted({study.category for study in self.studies.values() if study.category})

    @property
    def labels(self) -> dict[str, str]:
        """The names in words of the models that are tested on it."""
        return {model: row.label for model, row in self.rows.items()}

    @property
    def words(self) -> str:
        """What captions say of its studies."""
        return f"{counted(len(self.studies), 'study')} of the external set {self.label}"

    @cached_property
    def registry(self) -> str | list[str]:
        """Its list of studies and classes, or nothing."""
        found = find_registry(self.dataset.root) if self.dataset.is_mosmed else None
        return str(found) if found else []

    def masks_from_elsewhere(self, model: str) -> list[str]:
        """Return the masks of its studies that were there before the workflow ran."""
        return [str(path) for path in self.rows[model].external_mask_files(self.name, self.names).values()]

    def scored_content(self, model: str) -> list[str]:
        """Return what changes with the content of the masks that a model is scored with."""
        return self.contents([*self.masks, *self.masks_from_elsewhere(model)])


def find_cohorts(
    settings: Mapping[str, Any], rows: Mapping[str, Row], all_rows: Mapping[str, Row], known: Sequence[Study]
) -> dict[str, Cohort]:
    """Return the external sets of a resolved configuration by name.

    rows, all_rows: as `Experiment` has them; known: the studies of the data set that is trained on.

    Raises UserError, naming the key, where a set cannot be found (`studies.find_studies`), has no masks or lacks a CT,
    where a label stands for two sets, a folder of masks is of no set or lacks one, or a study is already known.
    """
    sets = settings["external"]
    check_labels({name: section.get("label", name) for name, section in sets.items()}, "external")
    _check_folders(all_rows, sets)
    cohorts = {}
    for name, section in sets.items():
        dataset = DataSet.of(section, f"external.{name}")
        studies = {study.name: study for study in find_studies(dataset) if study.mask}
        tested = {model: row for model, row in rows.items() if row.is_tested_on(name)}
        cohort = Cohort(dataset, studies, section, name, section.get("label", name), tested)
        _check_studies(cohort, all_rows)
        _check_unknown(cohort, known, section["same_names"])
        cohorts[name] = cohort
    return cohorts


def _check_folders(rows: Mapping[str, Row], sets: Iterable[str]) -> None:
    for model, row in rows.items():
        unknown = sorted(row.external_folders.keys() - set(sets)) if isinstance(row, Elsewhere) else []
        if unknown:
            raise UserError(
                f"models.{model}.external_predictions: {first_few(unknown)}: there is no such set in `external`. Known "
                f"there: {', '.join(sets) or 'none'}."
            )


def _check_studies(cohort: Cohort, rows: Mapping[str, Row]) -> None:
    """Refuse a set that cannot be tested on: no masks, no CT for a model, masks from elsewhere that are missing."""
    if not cohort.studies:
        raise UserError(
            f"{cohort.key}: no study below {cohort.root} has a lesion mask where `mask` says, so there is nothing to "
            "compare with. Correct `mask`, or take the set out."
        )
    without_ct = [study.name for study in cohort.studies.values() if not study.ct]
    if without_ct and any(row.needs_ct for row in cohort.rows.values()):
        raise UserError(
            f"{cohort.key}: {len(without_ct)} of {len(cohort.studies)} masks have no CT below {cohort.root} "
            f"({first_few(without_ct)}). Add them, or remove these masks."
        )
    for model, row in rows.items():
        files = row.external_mask_files(cohort.name, cohort.names) if row.is_tested_on(cohort.name) else {}
        refuse_links_to_nothing(files.values(), f"models.{model}.external_predictions.{cohort.name}")
        if missing := [study for study, path in files.items() if not path.is_file()]:
            raise UserError(
                f"models.{model}.external_predictions.{cohort.name}: {len(missing)} of {len(cohort.studies)} studies "
                f"have no mask there ({first_few(missing)}): {files[missing[0]]} and so on. Add what is missing, or "
                "name each file as its study."
            )


def _check_unknown(cohort: Cohort, known: Sequence[Study], same_names: bool) -> None:
    """Refuse studies that the data set has as well, by their files or by their names; contents come later."""
    files = {path.resolve(): study.name for study in known for path in (study.ct, study.mask) if path}
    for study in cohort.studies.values():
        for path in filter(None, (study.ct, study.mask)):
            if (other := files.get(path.resolve())) is not None:
                raise UserError(
                    f"{cohort.key}: {path} is a file of the data set as well (study {other}). A model is not tested on "
                    "studies that it may have learned from: take it out of one of the two."
                )
    names = {study.name for study in known if study.mask}
    equal = [name for name in cohort.studies if name in names]
    if equal and not same_names:
        raise UserError(
            f"{cohort.key}: {len(equal)} of its {len(cohort.studies)} studies are called as studies of `dataset` are "
            f"({first_few(equal)}). If they are the same, take them out of the set. If they are others, write:\n"
            f"  external:\n    {cohort.name}: {{same_names: true}}"
        )
