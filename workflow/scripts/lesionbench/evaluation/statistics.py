"""What a comparison of models on a few studies can and cannot show.

The study is the unit. Scores come as a frame with a row a study and a column a model, averaged over seeds first,
with NaN where a score is undefined. Everything random is drawn from a fixed seed, so equal scores give equal results.
"""

import math
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special, stats

CONFIDENCE = 0.95
ALPHA = 0.05
POWER = 0.8
RESAMPLES = 10_000
SEED = 0

PAIR_COLUMNS = [
    "first", "second", "studies", "difference", "low", "high", "p", "p_holm", "wins", "ties", "losses", "detectable",
    "different",
]  # fmt: skip


def fewest_studies(confidence: float = CONFIDENCE) -> int:
    """Return the smallest number of studies for which resampling can reach the level `confidence`: 6 for 95 %.

    A resample cannot leave the range of its n values, and that range holds the median with a probability of only
    1 − 2^(1−n), which has to reach `confidence`.
    """
    return math.ceil(1 - math.log2(1 - confidence))


def mean_interval(values: ArrayLike, resamples: int = RESAMPLES) -> np.ndarray:
    """Return (low, high) of the bias-corrected and accelerated (BCa) 95 % bootstrap interval of the mean of `values`.

    NaN values are left out; equal values give an interval of no width. Both ends are NaN for fewer values than
    `fewest_studies`. From ten values drawn from a normal distribution the nominal 95 % interval covers the mean in
    about 90 % of experiments, from fifty in 94 %.

    Source: Efron, J Am Stat Assoc 82:171 (1987), doi:10.1080/01621459.1987.10478410.
    """
    sample = _defined(values)
    if sample.size < fewest_studies():
        return np.full(2, np.nan)
    if np.ptp(sample) == 0:
        return np.full(2, sample[0])
    found = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=resamples,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(SEED),
    )
    return np.array(found.confidence_interval)


def signed_rank_p(differences: ArrayLike) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test that paired differences are symmetric about zero.

    Zero differences are left out, as Wilcoxon did; where nothing else is left p is 1, without any difference NaN. It
    is exact for up to 13 studies, and for up to 50 where no two differences have equal size.

    Source: Wilcoxon, Biometrics Bulletin 1:80 (1945), doi:10.2307/3001968.
    """
    sample = _defined(differences)
    if sample.size == 0:
        return math.nan
    sample = sample[sample != 0]
    return float(stats.wilcoxon(sample).pvalue) if sample.size else 1.0


def limits_of_agreement(differences: ArrayLike) -> tuple[float, float, float]:
    """Return the mean of paired differences, and mean ∓ 1.96 SD: where 95 % of normal ones lie.

    All are NaN for fewer values than `fewest_studies`. Source: Bland and Altman, Lancet 327:307 (1986),
    doi:10.1016/S0140-6736(86)90837-8.
    """
    sample = _defined(differences)
    if sample.size < fewest_studies():
        return (math.nan,) * 3
    mean, reach = sample.mean(), stats.norm.ppf(0.5 + CONFIDENCE / 2) * sample.std(ddof=1)
    return float(mean), float(mean - reach), float(mean + reach)


def holm(p_values: ArrayLike) -> np.ndarray:
    """Return p values adjusted so that a false claim anywhere among the tests is at most as likely as the level.

    NaN stays NaN and does not count as a test. Source: Holm, Scand J Stat 6:65 (1979), jstor.org/stable/4615733.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    adjusted = np.full(p.shape, np.nan)
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors)) if order.size else []
    return adjusted


def smallest_detectable(differences: ArrayLike, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the true mean difference that a paired t test of this many studies would have found with chance `power`.

    The spread is that of the given differences; NaN where all are equal or there is one, for that is no spread to
    judge by. Wilcoxon's test needs about 5 % more studies
    where the differences are normal. Source: Cohen, Statistical Power Analysis (1988), ch. 2, with the exact
    noncentral t distribution.
    """
    sample = _defined(differences)
    if sample.size < 2 or np.ptp(sample) == 0:
        return math.nan
    freedom = sample.size - 1
    critical = stats.t.ppf(1 - alpha / 2, freedom)
    return float(special.nctdtrinc(freedom, 1 - power, critical) * sample.std(ddof=1) / math.sqrt(sample.size))


def compare_pairs(scores: pd.DataFrame, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Return a row for each pair of models, with the columns PAIR_COLUMNS.

    `difference` is the mean of first − second over the studies where both are defined, `low` and `high` its interval
    (`mean_interval`; for this pair alone), `p_holm` is corrected for all pairs of the table, `wins` counts the studies
    in which the first scores higher. `detectable` is the smallest difference that would have been found at the level
    ALPHA over the number of pairs, the strictest that Holm's correction asks for. `different` is true where
    `p_holm` is below ALPHA and the interval leaves out zero.
    """
    pairs = list(combinations(scores.columns, 2))
    rows = []
    for first, second in pairs:
        # Rounded, so that two means over seeds that differ by the order of summation are a tie.
        differences = _defined((scores[first] - scores[second]).round(12))
        signs = np.sign(differences)
        rows.append(
            {
                "first": first,
                "second": second,
                "studies": differences.size,
                "difference": differences.mean() if differences.size else math.nan,
                **dict(zip(("low", "high"), mean_interval(differences, resamples=resamples), strict=True)),
                "p": signed_rank_p(differences),
                "wins": int((signs > 0).sum()),
                "ties": int((signs == 0).sum()),
                "losses": int((signs < 0).sum()),
                "detectable": smallest_detectable(differences, ALPHA / len(pairs)),
            }
        )
    table = pd.DataFrame(rows, columns=PAIR_COLUMNS)
    table["p_holm"] = holm(table["p"].astype(float))
    table["different"] = (table["p_holm"] < ALPHA) & ((table["low"] > 0) | (table["high"] < 0))
    return table


def rank_distribution(scores: pd.DataFrame, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Return how often each model (row) takes each rank 1…k (column) when the studies are drawn again with replacement.

    Models are ranked by their mean over the studies that all of them have a score for; the order of equal
    means is random. Rows and columns sum to 1; with fewer common studies than `fewest_studies` all is NaN. The first
    column is each model's chance to come first in another sample of studies like these.

    Source: Wiesenfarth et al., Sci Rep 11:2369 (2021), doi:10.1038/s41598-021-82017-6.
    """
    ranks = range(1, scores.shape[1] + 1)
    common = scores.dropna().to_numpy(dtype=float)
    if len(common) < fewest_studies():
        return pd.DataFrame(math.nan, index=scores.columns, columns=ranks)
    rng = np.random.default_rng(SEED)
    studies = common.shape[0]
    weights = rng.multinomial(studies, np.full(studies, 1 / studies), size=resamples)
    means = (weights @ common / studies).round(12)
    order = np.lexsort((rng.random(means.shape), -means), axis=1)
    shares = [np.bincount(order[:, rank - 1], minlength=len(ranks)) / resamples for rank in ranks]
    return pd.DataFrame(np.transpose(shares), index=scores.columns, columns=ranks)


def studies_needed(pairs: int) -> int:
    """Return the smallest number of studies in which the signed-rank test can reach ALPHA after Holm's correction.

    Its smallest two-sided p is 2^(1−n), which Holm multiplies by the number of pairs.
    """
    return math.floor(1 + math.log2(pairs / ALPHA)) + 1


def _defined(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    defined: np.ndarray = array[np.isfinite(array)]
    return defined
