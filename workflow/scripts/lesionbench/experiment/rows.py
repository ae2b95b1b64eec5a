"""The kinds of row in a comparison: each class answers what the rules and the report ask of a row.

A new kind is a class here, and a line in `make_rows`: nothing else looks at the keys of a model's entry.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.studies import find_predictions
from lesionbench.experiment.digest import program_digest
from lesionbench.models.entry import ModelEntry
from lesionbench.models.own import own_network
from lesionbench.models.programs import Program
from lesionbench.segmentation.point import OperatingPoint
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

    # Whether a rule makes its masks, from CT; else they were there before.
    made_here: ClassVar[bool]

    @property
    def needs_ct(self) -> bool:
        """Whether CTs are needed for its masks."""
        return self.made_here

    @abstractmethod
    def runs(self, folds: Iterable[int], seeds: Sequence[int]) -> list[Run]:
        """Return its runs, in the order of folds and seeds."""

    @abstractmethod
    def external_runs(self, folds: Sequence[int], seeds: Sequence[int]) -> list[Run]:
        """Return its runs that are tested on external sets: there, each fold's networks see all studies."""

    @abstractmethod
    def masks(self, fold: int | str, seed: int | str) -> str:
        """Return the folder of the masks of a run, in Snakemake's path variables."""

    @abstractmethod
    def external_masks(self, external: str, fold: int | str, seed: int | str) -> str:
        """Return the folder of the masks of an external set."""

    @abstractmethod
    def mask_files(self, studies: Sequence[str]) -> dict[str, Path]:
        """Return the masks of studies that were there before the workflow ran, by study; they need not exist."""

    @abstractmethod
    def is_tested_on(self, external: str) -> bool:
        """Say whether there are, or will be, its masks of an external set."""

    @abstractmethod
    def external_mask_files(self, external: str, studies: Sequence[str]) -> dict[str, Path]:
        """Return `mask_files` of the studies of an external set."""

    @property
    def can_segment(self) -> bool:
        """Whether its finished runs segment any scan."""
        return False

    def segmenting_runs(self, folds: Iterable[int], seeds: Sequence[int]) -> "list[tuple[Trained, Run]]":
        """Return the trainings whose mean probability segments a scan, of those folds."""
        return []


@dataclass(frozen=True)
class MadeHere(Row):
    """A row whose masks a rule makes; their paths do not tell what kind it is.

    point: where probabilities become lesion.
    """

    made_here = True
    point: OperatingPoint

    def runs(self, folds: Iterable[int], seeds: Sequence[int]) -> list[Run]:
        return [Run(self.model, fold, seed) for fold in folds for seed in seeds]

    def external_runs(self, folds: Sequence[int], seeds: Sequence[int]) -> list[Run]:
        return self.runs(folds, seeds)

    def masks(self, fold: int | str, seed: int | str) -> str:
        return f"<results>/predictions/{self.model}/fold-{fold}/seed-{seed}"

    def validation(self, fold: int | str, seed: int | str) -> str:
        """Return the folder of the probabilities of a run's validation studies."""
        return f"<results>/validation/{self.model}/fold-{fold}/seed-{seed}"

    def validations(self, fold: int | str, seed: int | str, seeds: Sequence[int]) -> list[str]:
        """Return the folders of the probabilities by whose mean the operating point of a run is chosen."""
        return [self.validation(fold, seed)]

    def external_masks(self, external: str, fold: int | str, seed: int | str) -> str:
        return f"<results>/external/{external}/predictions/{self.model}/fold-{fold}/seed-{seed}"

    def mask_files(self, studies: Sequence[str]) -> dict[str, Path]:
        return {}

    def is_tested_on(self, external: str) -> bool:
        return True

    def external_mask_files(self, external: str, studies: Sequence[str]) -> dict[str, Path]:
        return {}


@dataclass(frozen=True)
class Trained(MadeHere):
    """A network that is trained here; log: the trackers that get the history of its trainings."""

    entry: ModelEntry
    recipe: Recipe
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    mirroring: bool = False
    precision: str = "training"
    log: tuple[str, ...] = ()

    @property
    def can_segment(self) -> bool:
        return True

    def segmenting_runs(self, folds: Iterable[int], seeds: Sequence[int]) -> "list[tuple[Trained, Run]]":
        return [(self, run) for run in self.runs(folds, seeds)]

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
            "channels": self.preprocessing.channels,
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
class Method(MadeHere):
    """A program of another's that trains and predicts here; one that draws nothing at random has one run a fold.

    Its masks are its own: no threshold of ours makes them. preferred: the device that is asked for where the program
    computes on a GPU.
    """

    program: Program
    options: Mapping[str, Any]
    preferred: str = "auto"

    def runs(self, folds: Iterable[int], seeds: Sequence[int]) -> list[Run]:
        return super().runs(folds, seeds if self.program.seeded else seeds[:1])

    @property
    def device(self) -> str:
        """Where it computes."""
        return self.preferred if self.program.gpu else "cpu"

    @property
    def called(self) -> dict[str, Any]:
        """What stands for the program in the parameters of a job, wherever the checkout lies."""
        if self.program.method:
            return {"method": self.program.method}
        return {"command": list(self.program.command), "seeded": self.program.seeded, "gpu": self.program.gpu}

    @property
    def code(self) -> str:
        """The digest of the program's files."""
        return program_digest(self.program.files)


@dataclass(frozen=True)
class Elsewhere(Row):
    """Masks in a folder that another program made. They have no seed: there is one run a fold, under the first seed."""

    folder: str
    external_folders: Mapping[str, str] = field(default_factory=dict)
    made_here = False

    def runs(self, folds: Iterable[int], seeds: Sequence[int]) -> list[Run]:
        return [Run(self.model, fold, seeds[0]) for fold in folds]

    def external_runs(self, folds: Sequence[int], seeds: Sequence[int]) -> list[Run]:
        return self.runs(folds[:1], seeds)

    def masks(self, fold: int | str, seed: int | str) -> str:
        return str(Path(self.folder))

    def external_masks(self, external: str, fold: int | str, seed: int | str) -> str:
        return str(Path(self.external_folders[external]))

    def mask_files(self, studies: Sequence[str]) -> dict[str, Path]:
        return find_predictions(self.folder, studies)

    def is_tested_on(self, external: str) -> bool:
        return external in self.external_folders

    def external_mask_files(self, external: str, studies: Sequence[str]) -> dict[str, Path]:
        return find_predictions(self.external_folders[external], studies)


@dataclass(frozen=True)
class Ensemble(MadeHere):
    """The mean of what its members predict, over their seeds too; on external sets over their folds as well."""

    members: tuple[Row, ...]

    def runs(self, folds: Iterable[int], seeds: Sequence[int]) -> list[Run]:
        return [Run(self.model, fold, seeds[0]) for fold in folds]

    def external_runs(self, folds: Sequence[int], seeds: Sequence[int]) -> list[Run]:
        return self.runs(folds[:1], seeds)

    @property
    def needs_ct(self) -> bool:
        return any(member.needs_ct for member in self.members)

    @property
    def can_segment(self) -> bool:
        return all(member.can_segment for member in self.members)

    def segmenting_runs(self, folds: Iterable[int], seeds: Sequence[int]) -> list[tuple[Trained, Run]]:
        return [pair for member in self.members for pair in member.segmenting_runs(folds, seeds)]

    def validations(self, fold: int | str, seed: int | str, seeds: Sequence[int]) -> list[str]:
        runs = self.member_runs(int(fold), seeds)
        return [row.validation(run.fold, run.seed) for row, run in runs if isinstance(row, MadeHere)]

    def is_tested_on(self, external: str) -> bool:
        return all(member.is_tested_on(external) for member in self.members)

    def member_runs(self, fold: int, seeds: Sequence[int]) -> list[tuple[Row, Run]]:
        """Return the runs of its members that are averaged in a fold."""
        return [(member, run) for member in self.members for run in member.runs([fold], seeds)]

    def member_external_runs(self, folds: Sequence[int], seeds: Sequence[int]) -> list[tuple[Row, Run]]:
        """Return the runs of its members that are averaged on external sets."""
        return [(member, run) for member in self.members for run in member.external_runs(folds, seeds)]


def make_rows(models: Mapping[str, Mapping[str, Any]], compare: Iterable[str], device: str = "auto") -> dict[str, Row]:
    """Return the rows that resolved settings describe, by name: those that are compared, then further members.

    device: where external methods compute.
    """
    rows: dict[str, Row] = {}
    for model in compare:
        for member in models[model].get("members", []):
            rows.setdefault(member, _make_row(member, models[member], rows, device))
        rows[model] = _make_row(model, models[model], rows, device)
    return {model: rows[model] for model in dict.fromkeys([*compare, *rows])}


def _make_row(model: str, settings: Mapping[str, Any], rows: Mapping[str, Row], device: str) -> Row:
    label = settings.get("label", model)
    if "members" in settings:
        return Ensemble(model, label, _point(settings), tuple(rows[member] for member in settings["members"]))
    if "predictions" in settings:
        return Elsewhere(model, label, settings["predictions"], settings.get("external_predictions", {}))
    if "method" in settings or "command" in settings:
        return Method(model, label, OperatingPoint(), Program.of(settings), settings["options"], device)
    training = dict(settings["training"])
    log = training.pop("log", None) or ()
    recipe, preprocessing = Recipe(**training), Preprocessing(**settings["preprocessing"])
    how = {key: settings["evaluation"][key] for key in ("mirroring", "precision")}
    how["log"] = (log,) if isinstance(log, str) else tuple(log)
    return Trained(model, label, _point(settings), ModelEntry.of(settings), recipe, preprocessing, **how)


def _point(settings: Mapping[str, Any]) -> OperatingPoint:
    return OperatingPoint(settings["evaluation"]["threshold"], settings["evaluation"]["min_component_mm3"])
