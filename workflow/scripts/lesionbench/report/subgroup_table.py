"""The table of scores in groups of studies."""

import pandas as pd

from lesionbench.evaluation.comparison import Comparison
from lesionbench.evaluation.lesions import LOOSE
from lesionbench.evaluation.metrics import METRICS
from lesionbench.evaluation.scoring import Scoring
from lesionbench.evaluation.subgroups import SUBGROUP_SCORES, subgroup_means
from lesionbench.report.metric_tables import ARROWS
from lesionbench.report.tables import Table, format_number


def subgroups(comparison: Comparison, inventory: pd.DataFrame, scoring: Scoring) -> Table:
    """Return the mean scores of each model by lesion volume, category and slice spacing, with the number of studies."""
    data = subgroup_means(comparison, inventory)
    shown = data[["by", "group", "label"]].set_axis(["By", "Group", "Model"], axis="columns")
    # What the row above says is not said again.
    first = ~shown[["By", "Group"]].duplicated()
    shown["By"] = shown["By"].where(~shown["By"].duplicated(), "")
    shown["Group"] = shown["Group"].where(first, "")
    shown["Studies"] = data["studies"].map(str).where(first, "")
    for metric in METRICS:
        if metric.name in data and metric.name in SUBGROUP_SCORES:
            header = f"{metric.header} {ARROWS[metric.better]}" if metric.better else metric.header
            shown[header] = [format_number(mean, metric.digits) for mean in data[metric.name]]
    notes = (
        "Means over the studies with lesion in the reference, seeds averaged first. Lesion volume: thirds of the "
        "studies by the reference's volume; slice spacing: between axial slices. A difference between groups may be "
        "due to anything else in which they differ, and of few studies it is no evidence.",
        f"Surface Dice: within {scoring.surface_tolerance_mm:g} mm, a surface being voxels; lesions: of at least "
        f"{scoring.min_lesion_mm3:g} mm³, matched one to one at an intersection over union above {LOOSE:g}. Where "
        "nothing is predicted, each of these shares is 0.",
    )
    return Table("Scores in groups of studies", data, shown, notes, text_columns=3)
