"""The kinds of row in a comparison: each class answers what the rules and the report ask of a row.

A new kind is a class here, and a line in `make_row`: nothing else looks at the keys of a model's entry.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from lesionbench.data.studies import find_predictions
from lesionbench.models.entry import ModelEntry
from lesionbench.models.own import own_network
from lesionbench.training.recipe import Recipe


class Run(NamedTuple):
    """A model's predictions of the test studies of a fold, and the seed that it was trained with."""

    model: str
    fold: int
    seed: int


@dataclass(frozen=True)
class Row(ABC):
    """A model of the comparison: its name in paths, and in tables and figures."""

    model: str
    label: str

    # Whether its runs are trained here, need CT and leave a record (run.json).
    trained: ClassVar[bool]

    @abstractmethod
    def runs(self, folds: Iterable[int], seeds: Sequence[int]) -> list[Run]:
        """Return its runs, in the order of folds and seeds."""

    @abstractmethod
    def masks(self, fold: int, seed: int) -> str:
        """Return the folder of the masks of a run, in Snakemake's path variables."""

    @abstractmethod
    def mask_files(self, studies: Sequence[str]) -> dict[str, Path]:
        """Return the masks of studies that were there before the workflow ran, by study; they need not exist."""

    @abstractmethod
    def is_tested_on(self, external: str) -> bool:
        """Say whether there are, or will be, its masks of an external set."""

    @abstractmethod
    def external_mask_files(self, external: str, studies: Sequence[str]) -> dict[str, Path]:
        """Return `mask_files` of the studies of an external set."""


@dataclass(frozen=True)
class Trained(Row):
    """A network that is trained here."""

    entry: ModelEntry
    recipe: Recipe
    mirroring: bool = False
    trained = True

    def runs(self, folds: Iterable[int], seeds: Sequence[int]) -> list[Run]:
        return [Run(self.model, fold, seed) for fold in folds for seed in seeds]

    def masks(self, fold: int, seed: int) -> str:
        return f"<results>/predictions/{self.model}/fold-{fold}/seed-{seed}"

    def mask_files(self, studies: Sequence[str]) -> dict[str, Path]:
        return {}

    def is_tested_on(self, external: str) -> bool:
        return True

    def external_mask_files(self, external: str, studies: Sequence[str]) -> dict[str, Path]:
        return {}

    @property
    def encoder_weights(self) -> list[str]:
        """The file of pretrained weights that its encoder starts from, or nothing."""
        weights = self.entry.encoder_weights
        if weights == "imagenet":
            return [f"<resources>/weights/{self.entry.encoder}.safetensors"]
        return [weights] if weights else []

    @property
    def trial(self) -> dict[str, Any]:
        """What its network is tried with before anything is trained (`models.trial.Trial`)."""
        given = self.entry.encoder_weights
        return {
            "entry": asdict(self.entry),
            "batch_size": self.recipe.batch_size,
            "precision": self.recipe.precision,
            "weights": None if given == "imagenet" else given,
        }

    @property
    def code(self) -> list[str]:
        """What its training looks up by name (`digest.code_digest`): the loss of its recipe, an own network's code."""
        return [f"training.loss:{self.recipe.loss}_loss", *self.network_code]

    @property
    def network_code(self) -> list[str]:
        """The user's files, or the package and its version, that its network comes from, if it is a user's own."""
        own = own_network(self.entry.architecture)
        return own.code if own else []


@dataclass(frozen=True)
class Elsewhere(Row):
    """Masks in a folder that another program made. They have no seed: there is one run a fold, under the first seed."""

    folder: str
    external_folders: Mapping[str, str] = field(default_factory=dict)
    trained = False

    def runs(self, folds: Iterable[int], seeds: Sequence[int]) -> list[Run]:
        return [Run(self.model, fold, seeds[0]) for fold in folds]

    def masks(self, fold: int, seed: int) -> str:
        return str(Path(self.folder))

    def mask_files(self, studies: Sequence[str]) -> dict[str, Path]:
        return find_predictions(self.folder, studies)

    def is_tested_on(self, external: str) -> bool:
        return external in self.external_folders

    def external_mask_files(self, external: str, studies: Sequence[str]) -> dict[str, Path]:
        return find_predictions(self.external_folders[external], studies)


def make_row(model: str, settings: Mapping[str, Any]) -> Row:
    """Return the row that a model's resolved settings describe."""
    label = settings.get("label", model)
    if "predictions" in settings:
        return Elsewhere(model, label, settings["predictions"], settings.get("external_predictions", {}))
    recipe, mirroring = Recipe(**settings["training"]), settings["evaluation"]["mirroring"]
    return Trained(model, label, ModelEntry.of(settings), recipe, mirroring)
