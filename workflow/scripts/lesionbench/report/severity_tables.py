"""The tables that set the share of the lungs involved against the radiologists' classes."""

from collections.abc import Mapping

import pandas as pd

from lesionbench.data.studies import CATEGORIES
from lesionbench.evaluation.severity import LEAST, Severity
from lesionbench.report.tables import UNDEFINED, Table, format_interval, format_number, format_p
from lesionbench.words import counted, first_few

MEASURES = {
    "spearman": "Spearman's ρ",
    "auc_involved": "AUC, CT-0 / CT-1–4",
    "auc_above_ct1": "AUC, CT-0–1 / CT-2–4",
    "kappa": "Weighted κ",
}
_CUTS = (
    f"The share is cut at {100 * LEAST:g}, 25, 50 and 75 % into the classes CT-0 to CT-4, as they are defined; below "
    f"{100 * LEAST:g} % nothing counts as involved."
)


def severity_tables(severity: Severity, labels: Mapping[str, str]) -> dict[str, Table]:
    """Return the tables `severity`, `severity_pairs` and `severity_classes`."""
    return {
        "severity": _scores(severity, labels),
        "severity_pairs": _pairs(severity.pairs, labels),
        "severity_classes": _classes(severity.classes, labels),
    }


def _scores(severity: Severity, labels: Mapping[str, str]) -> Table:
    scores = severity.scores
    data = _labelled(scores, labels)
    shown = pd.DataFrame({"Model": data["label"]})
    for measure, header in MEASURES.items():
        columns = (scores[f"{measure}{end}"] for end in ("", "_low", "_high"))
        shown[f"{header} ↑"] = [_with_interval(*cell) for cell in zip(*columns, strict=True)]
    studies, patients = (int(scores[name].iloc[0]) for name in ("studies", "patients"))
    of = "" if studies == patients else f" of {counted(patients, 'patient')}"
    notes = [
        f"{counted(studies, 'study')}{of}, of which no training has seen the patient. In brackets: 95 % intervals for "
        "other patients, of these trained networks (percentile bootstrap over patients).",
        "ρ: rank correlation of the share of the lungs that a model marks with the class. AUC: the chance that of two "
        "studies, one on either side, the one of the higher class has the larger share; 0.5 is chance. κ: agreement of "
        "the class with that of the share, quadratic weights. " + _CUTS,
    ]
    if severity.left_out:
        notes.append(
            f"Without a share, because no lungs were found, and left out: {counted(len(severity.left_out), 'study')} "
            f"({first_few(severity.left_out)})."
        )
    return Table("Share of the lungs involved against the radiologists' classes", data, shown, tuple(notes))


def _pairs(pairs: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    shown = pd.DataFrame(
        {
            "First": pairs["first"].map(labels),
            "Second": pairs["second"].map(labels),
            "Measure": pairs["measure"].map(MEASURES),
            "Difference": [format_number(value, signed=True) for value in pairs["difference"]],
            "95\u00a0% interval": [
                format_interval(low, high, signed=True) for low, high in zip(pairs["low"], pairs["high"], strict=True)
            ],
            "p": pairs["p"].map(format_p),
            "p (Holm)": pairs["p_holm"].map(format_p),
        }
    )
    notes = (
        "First − second, on the same studies. Intervals are for one row alone: 1.96 standard errors of the bootstrap "
        "over patients, of these trained networks; p is of the same. p (Holm): corrected for all rows of this table. "
        "That a difference is not shown does not mean that the models are equal.",
    )
    return Table("Differences between models, by the radiologists' classes", pairs, shown, notes, text_columns=3)


def _classes(classes: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    data = _labelled(classes, labels)
    quartiles = (data[name] for name in ("q1", "median", "q3"))
    shown = pd.DataFrame(
        {
            "Model": data["label"],
            "Class": data["category"],
            "Studies": data["studies"].map(str),
            "Median share (quartiles), %": [
                _with_interval(100 * median, 100 * low, 100 * high, digits=1)
                for low, median, high in zip(*quartiles, strict=True)
            ],
            **{f"Cut as {category}": data[category].map(str) for category in CATEGORIES},
        }
    )
    notes = (
        "Class: the radiologists'. Cut as: how many of its studies the share of the model puts into each. " + _CUTS,
    )
    return Table("Share of the lungs involved, by class", data, shown, notes, text_columns=2)


def _labelled(frame: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    data = frame.copy()
    data.insert(1, "label", data["model"].map(labels))
    return data


def _with_interval(value: float, low: float, high: float, digits: int = 3) -> str:
    """Return "0.742 (0.712–0.770)", and a dash for what is undefined."""
    number, interval = format_number(value, digits), format_interval(low, high, digits)
    return number if interval == UNDEFINED else f"{number} ({interval})"
