"""Each model's means of all scores but Dice: of overlap and surfaces, of volumes, and of lesions."""

from collections.abc import Iterator, Sequence

import pandas as pd

from lesionbench.evaluation.comparison import Comparison
from lesionbench.evaluation.lesions import LOOSE, STRICT
from lesionbench.evaluation.metrics import METRICS, Metric
from lesionbench.evaluation.scoring import Scoring
from lesionbench.report.tables import Table, format_number
from lesionbench.words import counted, listed

ARROWS = {"higher": "↑", "lower": "↓"}
_WITHOUT_LESION = ("false_positive_ml", "any_false_positive")


def metric_means(comparison: Comparison, scoring: Scoring) -> Table:
    """Return the means over studies of the scores of overlap and surfaces, and of studies without lesion."""
    shown = [metric for metric in _metrics_of("metrics") if metric.name != "dice"]
    if not _without_lesion(comparison):
        shown = [metric for metric in shown if metric.name not in _WITHOUT_LESION]
    notes = [*_means_of(comparison), *_nothing_predicted(comparison)]
    notes.append(
        "HD95: 95th percentile of the distances between the surfaces, the larger of both directions; surface Dice: "
        f"share of both surfaces within {scoring.surface_tolerance_mm:g} mm of the other. A surface is the voxels with "
        "a face neighbour outside the mask, as in MetricsReloaded; tools that define it otherwise give other values "
        "for the same masks. False slices: with a prediction and no lesion in the reference."
    )
    if without := _without_lesion(comparison):
        notes.append(
            f"No lesion: {counted(without, 'study')} whose reference is empty, by the volume predicted there and the "
            "share with any; overlap and surface are undefined in them."
        )
    return _table("Further metrics", comparison, shown, notes)


def volume_means(comparison: Comparison) -> Table:
    """Return the means over studies of the lesion volumes and their differences."""
    notes = [
        *_means_of(comparison),
        "Differences: predicted − reference, whose mean is the bias; relative: as a share of the reference; absolute: "
        "the size of the error.",
    ]
    return _table("Lesion volumes", comparison, _metrics_of("volumes"), notes)


def lesion_means(comparison: Comparison, scoring: Scoring) -> Table:
    """Return the means over studies of the scores of lesions."""
    notes = [
        *_means_of(comparison),
        f"A lesion: a connected component (26 neighbours) of at least {scoring.min_lesion_mm3:g} mm³. "
        f"{_dropped(comparison)}Found: matched one to one with a predicted lesion at an intersection over union "
        f"above {LOOSE:g}; false: a predicted lesion without a partner. Strict: the same above {STRICT:g}. F1 (RQ): "
        "2 found / (2 found + missed + false); SQ: mean intersection over union of the pairs; PQ: F1 × SQ; lesion "
        "Dice: mean Dice of pairs, of missed and false lesions 0.",
        *_nothing_predicted(comparison),
    ]
    return _table("Lesions", comparison, _metrics_of("lesions"), notes)


def _metrics_of(table: str) -> list[Metric]:
    return [metric for metric in METRICS if metric.table == table]


def _table(title: str, comparison: Comparison, metrics: Sequence[Metric], notes: Sequence[str]) -> Table:
    labels = comparison.labels
    data = pd.DataFrame({"model": list(labels), "label": list(labels.values())})
    shown = pd.DataFrame({"Model": list(labels.values())})
    for metric in metrics:
        if metric.name not in comparison.scores:
            continue
        scores = comparison.scores[metric.name]
        if metric.name not in _WITHOUT_LESION:
            scores = scores.loc[comparison.dice.index]
        means, undefined = scores.mean().to_numpy(), scores.isna().sum().to_numpy()
        data[metric.name], data[f"{metric.name}_undefined"] = means, undefined
        header = f"{metric.header} {ARROWS[metric.better]}" if metric.better else metric.header
        told = undefined if metric.name not in _WITHOUT_LESION else [0] * len(labels)
        shown[header] = [
            format_number(mean, metric.digits, metric.signed) + (f" ({count})" if count else "")
            for mean, count in zip(means, told, strict=True)
        ]
    return Table(title, data, shown, tuple(notes))


def _means_of(comparison: Comparison) -> Iterator[str]:
    yield (
        f"Means over the {counted(comparison.sample.studies, 'study')} with lesion and a Dice of every model, seeds "
        "averaged first. In brackets: studies in which a score is undefined, in any seed; its mean leaves them out. "
        "Arrows: the direction that is better."
    )


def _nothing_predicted(comparison: Comparison) -> Iterator[str]:
    """Yield in how many studies which model predicts nothing, and what that costs it."""
    if "nothing_predicted" not in comparison.scores:
        return
    studies = (comparison.scores["nothing_predicted"] > 0).sum()
    silent = [f"{comparison.labels[str(model)]} ({count})" for model, count in studies.items() if count]
    yield (
        "Where the reference holds lesion and the prediction none, each share is 0 and HD95 the diagonal of the "
        f"image. Studies with such a prediction: {listed(silent) if silent else 'none'}."
    )


def _without_lesion(comparison: Comparison) -> int:
    """Return the number of studies whose reference holds no lesion."""
    scores = comparison.scores.get("any_false_positive")
    return 0 if scores is None else int(scores.notna().any(axis="columns").sum())


def _dropped(comparison: Comparison) -> str:
    if not {"lesions_reference", "lesions_dropped"} <= comparison.scores.keys():
        return ""
    counts = (comparison.scores[f"lesions_{name}"] for name in ("reference", "dropped"))
    kept, dropped = (int(scores.max(axis="columns").sum()) for scores in counts)  # the same for every model
    return (
        f"The references have {kept:,} of them and {counted(dropped, 'smaller component')} "
        f"({100 * dropped / max(kept + dropped, 1):.0f}\u00a0% of all), which are dropped. "
    )
