"""The studies of a data set, as the rules ask for them: of the one that is trained on, and of each external one.

Imported while Snakemake parses, so it needs nothing beyond the standard library.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from lesionbench.data.content import content
from lesionbench.data.reading import Reading
from lesionbench.data.studies import DataSet, Study


@dataclass(frozen=True)
class Collection:
    """The studies of a data set by name; dataset: where they lie; section: of the resolved configuration, on them."""

    dataset: DataSet
    studies: dict[str, Study]
    section: Mapping[str, Any]

    @cached_property
    def scans(self) -> list[str]:
        """All CT volumes."""
        return [str(study.ct) for study in self.studies.values() if study.ct]

    @cached_property
    def masks(self) -> list[str]:
        """All lesion masks."""
        return [str(study.mask) for study in self.studies.values() if study.mask]

    @cached_property
    def listing(self) -> list[list[Any]]:
        """Name, category, patient, series and set of each study, and whether it has a CT and a mask."""
        return [
            [study.name, study.category, study.patient, study.series, study.set, bool(study.ct), bool(study.mask)]
            for study in self.studies.values()
        ]

    @cached_property
    def patients(self) -> dict[str, str]:
        """The patient of each study with a mask; a study of an unknown patient stands for one."""
        return {study.name: study.patient or study.name for study in self.studies.values() if study.mask}

    @property
    def mask_reading(self) -> dict[str, Any]:
        """How its masks are read."""
        return {key: self.section[key] for key in ("lesion_labels", "geometry")}

    def ct(self, study: str) -> str:
        """Return the CT volume of a study."""
        return str(self.studies[study].ct)

    def mask(self, study: str) -> str:
        """Return the lesion mask of a study."""
        return str(self.studies[study].mask)

    def reading(self) -> dict[str, Any]:
        """Return how its files are read."""
        return {field.name: self.section[field.name] for field in fields(Reading)}

    def study_reading(self, study: str) -> dict[str, Any]:
        """Return how a study's files are read: the table may say which series of its CT."""
        series = self.studies[study].series
        return {**self.reading(), "series": series} if series else self.reading()

    @property
    def is_made_here(self) -> bool:
        """Whether a rule makes its files: then their times say what is new."""
        return bool(self.section.get("phantom"))

    def content(self, study: str | None = None) -> list[str]:
        """Return what changes with the content of a study's CT and mask, or of all studies'."""
        studies = self.studies.values() if study is None else [self.studies[study]]
        return self.contents(str(path) for each in studies for path in (each.ct, each.mask) if path)

    def contents(self, files: Iterable[str]) -> list[str]:
        """Return what changes with the content of some of its files, or of its masks from elsewhere."""
        return [] if self.is_made_here else [content(path) for path in files]
