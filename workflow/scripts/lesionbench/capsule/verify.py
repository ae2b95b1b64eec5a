"""A capsule checked: everything that can be computed again is, and compared with what the capsule says.

Nothing in a capsule is believed or executed: it is unpacked with care (`archive.unpack`), and its list of hashes only
tells accidents. What counts is what follows from what: the split from the configuration, the predicted voxels from the
masks, the scores from the masks and the data set, the comparison and the tables from the scores.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from lesionbench.capsule import recompute
from lesionbench.capsule.archive import unpack
from lesionbench.capsule.contents import Finished, base, read_finished
from lesionbench.capsule.differences import Comparison, Difference
from lesionbench.data.studies import Study
from lesionbench.errors import UserError
from lesionbench.experiment.rows import Run
from lesionbench.files import sha256
from lesionbench.logs import collected_warnings
from lesionbench.progress import track

RESULTS = "results"
_DAMAGED = (UserError, ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, ArithmeticError)


@dataclass
class Verdict:
    """What came of it: how many numbers were compared, what differs, and what was not checked, in words."""

    numbers: int = 0
    differences: list[Difference] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def verify(capsule: Path, roots: Mapping[str, Path]) -> Verdict:
    """Check a capsule. `roots` holds the folder of the data set under "", of external sets under their names.

    Raises UserError where the file is no capsule (`archive.unpack`).
    """
    with TemporaryDirectory(prefix="lesionbench-") as temporary:
        folder = Path(temporary, "capsule")
        damaged = unpack(capsule, folder)
        check = _Check(Path(temporary, "again"))
        for text in damaged:
            name, _, what = text.partition(": ")
            check.found(name, what)
        try:
            results = read_finished(folder / RESULTS)
            check.everything(results, roots)
        except _DAMAGED as error:
            check.found(RESULTS, " ".join(str(error).split()))
        return check.verdict


class _Check:
    """The steps of a check; each compares what it has computed again, and removes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.verdict = Verdict()
        self.redone: set[str] = set()

    def found(self, file: str, what: str) -> None:
        self.verdict.differences.append(Difference(file, "", "", what, ""))

    def step(self, results: Finished, what: str, redo: Callable[..., None], *arguments: object) -> None:
        """Compute something again and compare it; that it cannot be computed is a difference as well."""
        before = {name for name, _ in recompute.written(self.folder)}
        try:
            redo(results, *arguments, self.folder)
        except (*_DAMAGED, RuntimeError) as error:
            self.found(what, f"cannot be computed again ({' '.join(str(error).split()) or type(error).__name__})")
        comparison = Comparison()
        for name, path in recompute.written(self.folder):
            if name not in before:
                comparison.compare(results.folder / name, path, name)
        self.redone |= {name for name, _ in recompute.written(self.folder)}
        self.verdict.numbers += comparison.numbers
        self.verdict.differences += comparison.differences

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def everything(self, results: Finished, roots: Mapping[str, Path]) -> None:
        if unknown := sorted(roots.keys() - {external or "" for external in results.sets}):
            raise UserError(f"--external {unknown[0]}: there is no such set in the capsule.")
        with collected_warnings():  # what studies are like was said when the results were made
            for redo in (recompute.redo_splits, recompute.redo_data_tables, recompute.redo_checklist):
                self.step(results, "splits and tables of the data", redo)
                self.clear()
            self.records(results)
            for external in results.sets:
                self.scores(results, external, roots.get(external or ""))
            self.comparisons(results)
        self.rest(results)

    def records(self, results: Finished) -> None:
        for run in results.experiment.trainings:
            self.step(results, f"record of {_words(run)}", recompute.redo_record, run)
            self.clear()
        if own := recompute.own_networks(results):
            self.verdict.unchecked.append(f"the table of costs: {own[0]} is code of the authors, which is not executed")
        elif results.experiment.costs:
            self.step(results, "tables/cost", recompute.redo_cost)
            self.clear()

    def scores(self, results: Finished, external: str | None, root: Path | None) -> None:
        """Check the scores of all runs on a set: by the masks alone, and by the references where they are there."""
        references = self.references(results, external, root) if root else {}
        for run in track(results.runs(external), "run"):
            what, tested = f"scores of {_words(run)}", results.tested(run, external)
            if all(study in references for study in tested):
                wanted = {study: references[study] for study in tested}
                self.step(results, what, recompute.redo_scores, run, external, wanted)
            else:
                self.step(results, what, recompute.redo_counts, run, external)
            self.clear()
        if not root:
            option = f"--external {external}=ROOT" if external else "--dataset ROOT"
            self.verdict.unchecked.append(
                f"the scores that need the reference masks of {external or 'the data set'} ({option})"
            )

    def references(self, results: Finished, external: str | None, root: Path) -> dict[str, Path]:
        """Return the reference masks below a root; compare them and the CTs with the hashes of the inventory."""
        inventory = {row["study"]: row for row in results.inventory(external).to_dict("records")}
        name = (Path(base(external)) / "dataset" / "studies.csv").as_posix()
        found = {}
        for study in track(list(_studies(results, external)), "study", label="hashing"):
            for kind, path in (("ct", study.ct), ("mask", study.mask)):
                if path is None:
                    continue
                file = (root / path).resolve()
                claimed = str(inventory[study.name][f"{kind}_sha256"])
                if not file.is_relative_to(root.resolve()):
                    computed = f"outside {root}"
                elif not file.exists():
                    computed = f"not there below {root}"
                else:
                    computed = sha256(file)
                    if kind == "mask":
                        found[study.name] = file
                if computed != claimed:
                    difference = Difference(name, study.name, f"{kind}_sha256", claimed, computed)
                    self.verdict.differences.append(difference)
        return found

    def comparisons(self, results: Finished) -> None:
        for external in results.sets:
            what = f"{base(external)}/comparison.json".removeprefix("./")
            self.step(results, what, recompute.redo_comparison, external)
        if results.experiment.external:
            self.step(results, "tables/external_sets", recompute.redo_sets)
        self.clear()

    def rest(self, results: Finished) -> None:
        """Say what was not computed again."""
        tables = [f"{base(external)}/tables/*.csv".removeprefix("./") for external in results.sets]
        files = {path.relative_to(results.folder).as_posix() for glob in tables for path in results.folder.glob(glob)}
        left = sorted(files - self.redone - {"tables/cost.csv"})
        if left:
            self.verdict.unchecked.append(f"tables that need more than scores: {', '.join(left)}")
        if results.experiment.trainings:
            self.verdict.unchecked.append("the trainings: that these networks, trained as recorded, give these masks")
        self.verdict.unchecked.append("figures and words of report.html and summary.html")


def _studies(results: Finished, external: str | None) -> Iterator[Study]:
    """Yield the studies that are divided, or those of an external set."""
    if external is not None:
        yield from results.experiment.external[external].studies.values()
        return
    names = {name for fold in results.experiment.folds.values() for name in (*fold.train, *fold.validation, *fold.test)}
    yield from (results.experiment.studies[name] for name in sorted(names))


def _words(run: Run) -> str:
    return f"{run.model} (fold {run.fold}, seed {run.seed})"
