"""Whether a model passed its trial (`trial.write_trials`). Needs nothing but the standard library."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lesionbench.errors import DAMAGED, UserError
from lesionbench.files import read_json, write_json


def pass_on(trials: str | Path, model: str, path: str | Path) -> None:
    """Write what a trial found of a model to a file of its own. Raises UserError where the model failed."""
    with _readable(trials):
        outcome = read_json(trials)[model]
        problem = outcome.get("error")
    if problem:
        raise UserError(str(problem))
    write_json(path, outcome)


def tried_sizes(path: str | Path) -> list[tuple[int, int]]:
    """Return the heights and widths of the slices that a model, which passed its trial, was tried on."""
    with _readable(path):
        return [(int(height), int(width)) for height, width in (tried["size"] for tried in read_json(path)["slices"])]


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise UserError(
            f"{path}: cannot be read as what came of a trial ({error}). Delete it and run the workflow again."
        ) from error
