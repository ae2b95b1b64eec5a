"""The order of the models by one score and by another."""

import numpy as np
import pandas as pd
from scipy import stats

from lesionbench.evaluation.comparison import Comparison
from lesionbench.evaluation.metrics import METRICS

# Scores by which models are ranked, in words.
RANKED = {
    "dice": "Dice",
    "surface_dice": "Surface Dice",
    "hd95_mm": "HD95",
    "lesion_f1": "Lesion F1",
    "lesion_pq": "Panoptic quality",
    "absolute_volume_difference_ml": "Volume error",
}


def rankings(comparison: Comparison) -> pd.DataFrame:
    """Return the rank of each model (row) by its mean of each of RANKED (column), 1 the best; equal means share one.

    A mean is over the studies of the declared set in which all models have the score. A score that no study has for all
    is left out.
    """
    better = {metric.name: metric.better for metric in METRICS}
    ranks = {}
    for name in RANKED:
        if name not in comparison.scores:
            continue
        common = comparison.scores[name].loc[comparison.dice.index].dropna()
        if len(common):
            ranks[name] = common.mean().round(12).rank(ascending=better[name] == "lower")
    return pd.DataFrame(ranks, index=list(comparison.labels))


def rank_correlation(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return Kendall's τ-b between each two columns: 1 the same order, −1 the reverse; NaN where all models are equal.

    Source: Kendall, Biometrika 30:81 (1938), doi:10.2307/2332226; between rankings of algorithms as in Wiesenfarth et
    al., Sci Rep 11:2369 (2021), doi:10.1038/s41598-021-82017-6.
    """
    values = [[_tau(ranks[first], ranks[second]) for second in ranks] for first in ranks]
    return pd.DataFrame(values, index=ranks.columns, columns=ranks.columns)


def _tau(first: pd.Series, second: pd.Series) -> float:
    if first.nunique() < 2 or second.nunique() < 2:
        return np.nan
    return float(stats.kendalltau(first, second).statistic)
