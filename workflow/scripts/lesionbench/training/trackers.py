"""Trackers: where the history of a training goes beside its folder, epoch by epoch. They decide no byte of a result.

Imported while Snakemake parses, so it needs nothing but the standard library; a tracker's package is imported where a
training asks for it.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from lesionbench.errors import UserError

_History = Sequence[Mapping[str, float]]
_MOST_METRICS = 1000  # that MLflow takes at once
_LONGEST_PARAMETER = 500  # characters, of older MLflow
# What MLflow does by itself, unless the user's environment says so: wait for minutes, and report its use to its makers.
_MLFLOW = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

logger = logging.getLogger(__name__)


class _Tracker(Protocol):
    def write(self, history: _History) -> None:
        """Send the epochs that are not there yet."""

    def end(self, how: str) -> None:
        """Say how the training ended: FINISHED, KILLED (it may go on later) or FAILED."""


@contextmanager
def tracking(
    names: Iterable[str], folder: Path, inputs: Mapping[str, Any], history: _History
) -> Iterator[Callable[[_History], None]]:
    """Yield a function that sends a training's history so far to the trackers of these names.

    folder: of the training, models/{model}/fold-{fold}/seed-{seed} below the results; inputs: what it is made from
    (`loop.describe_inputs`); history: of the epochs before a kill. What a tracker raises is logged as one warning, and
    the training goes on without it.
    """
    trackers: dict[str, _Tracker] = {}

    @contextmanager
    def forgiven(name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            trackers.pop(name, None)
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            logger.warning("training.log: %s gets no more epochs of this training (%s).", name, reason)

    def write(history: _History) -> None:
        for name, tracker in list(trackers.items()):
            with forgiven(name):
                tracker.write(history)

    for name in names:
        with forgiven(name):
            trackers[name] = _KINDS[name](folder, inputs, history)
    write(history)
    how = "FAILED"
    try:
        yield write
        how = "FINISHED"
    except SystemExit:
        how = "KILLED"
        raise
    finally:
        for name, tracker in list(trackers.items()):
            with forgiven(name):
                tracker.end(how)


def check_trackers(names: Iterable[str]) -> None:
    """Raise UserError where the package of a tracker is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise UserError(
                f"training.log: {name} is not installed. Run `pip install {name}`, or install lesionbench with the "
                f"extra `{name}`. To train without it, write:\n  log: null"
            )


def _place(folder: Path) -> tuple[Path, str]:
    """Return the folder of the results that a training belongs to, and its own below `models`."""
    return Path(*folder.parts[:-4]), "/".join(folder.parts[-3:])


class _TensorBoard:
    """An event file in tensorboard/{model}/fold-{fold}/seed-{seed} of the results, a new one after each kill.

    Each holds the whole history and lets readers forget what came before, so that they have each epoch once. Earlier
    files stay, because a TensorBoard that reads one does not go on to the next where it is gone.
    """

    def __init__(self, folder: Path, inputs: Mapping[str, Any], history: _History) -> None:
        from torch.utils.tensorboard import SummaryWriter

        results, run = _place(folder)
        self._writer = SummaryWriter(str(results / "tensorboard" / run), purge_step=1)
        self._written = 0

    def write(self, history: _History) -> None:
        for row in history[self._written :]:
            for name, value in _measured(row).items():
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()
        self._written = len(history)

    def end(self, how: str) -> None:
        self._writer.close()


class _MLflow:
    """A run on MLflow's server, or where else MLFLOW_TRACKING_URI points; a training that goes on finds its own.

    Of an epoch that is repeated after a kill the run keeps the first values, which on a GPU may differ a little.
    """

    def __init__(self, folder: Path, inputs: Mapping[str, Any], history: _History) -> None:
        for name, value in _MLFLOW.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        results, run = _place(folder)
        self._client = MlflowClient()
        experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"lesionbench {results}")
        made_from = json.dumps([str(folder.absolute()), inputs], sort_keys=True)
        tags = {"lesionbench_training": hashlib.sha256(made_from.encode()).hexdigest()}
        known = self._known_run(experiment, tags) if history else None
        self._run = known or self._client.create_run(experiment, run_name=run, tags=tags).info.run_id
        if known:
            self._client.update_run(known, status="RUNNING")
        else:
            self._describe(inputs)
        sent = self._client.get_metric_history(self._run, "train_loss") if known else []
        self._sent = {metric.step for metric in sent}

    def _experiment(self, name: str) -> str:
        """Return the id of an experiment, which may be made meanwhile by another training."""
        if not (found := self._client.get_experiment_by_name(name)):
            try:
                return str(self._client.create_experiment(name))
            except Exception:
                if not (found := self._client.get_experiment_by_name(name)):
                    raise
        return str(found.experiment_id)

    def _known_run(self, experiment: str, tags: Mapping[str, str]) -> str | None:
        """Return the id of the latest run with some tags, None where there is none."""
        wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        runs = self._client.search_runs([experiment], wanted, max_results=1, order_by=["attributes.start_time DESC"])
        return str(runs[0].info.run_id) if runs else None

    def _describe(self, inputs: Mapping[str, Any]) -> None:
        """Send what the training is made from, as parameters."""
        from mlflow.entities import Param

        sections = ("model", "training", "preprocessing")
        values = {f"{section}.{key}": value for section in sections for key, value in inputs[section].items()}
        values |= {key: inputs[key] for key in ("fold", "seed")}
        parameters = [Param(key, str(value)[:_LONGEST_PARAMETER]) for key, value in values.items()]
        self._client.log_batch(self._run, params=parameters)

    def write(self, history: _History) -> None:
        from mlflow.entities import Metric

        rows = [row for row in history if row["epoch"] not in self._sent]
        now = int(time.time() * 1000)
        metrics = [Metric(*item, now, int(row["epoch"])) for row in rows for item in _measured(row).items()]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(self._run, metrics=metrics[start : start + _MOST_METRICS])
        self._sent |= {int(row["epoch"]) for row in rows}

    def end(self, how: str) -> None:
        self._client.set_terminated(self._run, how)


def _measured(row: Mapping[str, float]) -> dict[str, float]:
    """Return what an epoch's row of the history says beside its number."""
    return {name: value for name, value in row.items() if name != "epoch"}


_KINDS: dict[str, Callable[[Path, Mapping[str, Any], _History], _Tracker]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
}
