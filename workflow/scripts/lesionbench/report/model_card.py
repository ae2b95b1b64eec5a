"""The page that describes a shared model: Markdown with the metadata of the Hugging Face Hub."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml
from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.environment import WORKFLOW
from lesionbench.evaluation.metrics import METRICS
from lesionbench.models.entry import ModelEntry
from lesionbench.report.tables import format_number
from lesionbench.words import counted

TEMPLATE = WORKFLOW / "report" / "model_card.md.jinja"
SHOWN = ("dice", "precision", "recall", "surface_dice", "hd95_mm")
TASK = "image-segmentation"


@dataclass(frozen=True)
class About:
    """What no record knows of a model: the license, its name, and the data sets by their names on the Hub."""

    license: str
    name: str
    datasets: Sequence[str] = ()


@dataclass(frozen=True)
class Mean:
    """The mean of a metric over the studies in which it is defined, and their number."""

    metric: str
    header: str
    value: float
    count: int
    digits: int

    @property
    def text(self) -> str:
        """The mean, rounded."""
        return format_number(self.value, self.digits)


@dataclass(frozen=True)
class Scores:
    """The means over a set of studies; name: of the set; external: not of the data set that the model comes from."""

    name: str
    means: Sequence[Mean]
    external: bool = False


def mean_scores(name: str, studies: pd.DataFrame, external: bool = False) -> Scores:
    """Return the means of the metrics SHOWN over the rows of a run's table of studies."""
    metrics = [metric for metric in METRICS if metric.name in SHOWN and metric.name in studies]
    means = [
        Mean(metric.name, metric.header, float(values.mean()), len(values), metric.digits)
        for metric in metrics
        for values in [studies[metric.name].dropna()]
    ]
    return Scores(name, means, external)


def model_card(
    record: Mapping[str, Any],
    about: About,
    scores: Sequence[Scores],
    point: Mapping[str, Any] | None = None,
    code: str = "",
) -> str:
    """Return the card of a model.

    record: as it is shared (`sharing.shared_record`); point: its operating point; code: the file of its network, where
    that is a user's own.
    """
    entry = ModelEntry.of(record["model"])
    loader = FileSystemLoader(TEMPLATE.parent)
    jinja = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    return jinja.get_template(TEMPLATE.name).render(
        metadata=_metadata(about, entry, scores).to_yaml(),
        name=about.name,
        network=entry.name,
        record=record,
        seen=_seen(Preprocessing(**record["preprocessing"])),
        point=point,
        studies={subset: counted(number, "study") for subset, number in record["studies"].items()},
        recipe=yaml.safe_dump({"training": record["training"]}, sort_keys=False, width=100).rstrip(),
        scores=scores,
        code=code,
    )


def _metadata(about: About, entry: ModelEntry, scores: Sequence[Scores]) -> ModelCardData:
    """Return the metadata by which the Hub lists a model, its scores among them."""
    trained_on = about.datasets[0] if about.datasets else "chest-ct"
    results = [
        EvalResult(
            task_type=TASK,
            task_name="Lesions on chest CT",
            dataset_type=one.name if one.external else trained_on,
            dataset_name=one.name,
            metric_type=mean.metric,
            metric_name=f"{mean.header}, mean of {counted(mean.count, 'study')}",
            metric_value=round(mean.value, 4),
        )
        for one in scores
        for mean in one.means
        if math.isfinite(mean.value)
    ]
    tags = ["medical", "chest-ct", "lesion-segmentation", entry.architecture.lower(), entry.encoder]
    return ModelCardData(
        license=about.license,
        library_name="lesionbench",
        pipeline_tag=TASK,
        tags=[tag for tag in tags if tag and ":" not in tag],
        datasets=list(about.datasets) or None,
        model_name=about.name,
        eval_results=results or None,
    )


def _seen(preprocessing: Preprocessing) -> str:
    """Return in words what becomes of a CT before the network sees it."""
    low, high = preprocessing.hu_window
    plane, scale = preprocessing.plane.capitalize(), preprocessing.hu_scale
    parts = [f"{plane} slices, clipped to {low} to {high} HU and divided by {scale:g}"]
    if preprocessing.neighbours:
        parts.append(f"with {preprocessing.neighbours} on either side as channels")
    if preprocessing.spacing:
        parts.append(f"resampled to {' × '.join(f'{value:g}' for value in preprocessing.spacing)} mm")
    if preprocessing.size:
        parts.append(f"cropped and padded to {' × '.join(map(str, preprocessing.size))} pixels")
    return ", ".join(parts) + "."
