"""What a comparison of models on a few patients can and cannot show.

The patient is the unit. The scores of a model are an array (trainings, patients), with the same patients for all models
and no NaN: a training is a seed, whose networks together have seen every patient once. Arrays may have dimensions
between these, as simulations do: (trainings, …, patients). Everything random is drawn from a fixed seed, so equal
scores give equal results. `docs/statistics.md` has the simulations behind each choice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special, stats

CONFIDENCE = 0.95
ALPHA = 0.05
POWER = 0.8
RESAMPLES = 10_000
SEED = 0
# With fewer patients a failure in one of ten can go unseen too often for a claim about means.
ENOUGH_FOR_MEANS = 50
# The differences in mean Dice whose price in studies is told.
PLANNED = (0.05, 0.02)

PAIR_COLUMNS = [
    "first", "second", "difference", "low", "high", "recipe_low", "recipe_high", "p_rank", "p_mean", "p_recipe",
    "p_holm", "wins", "ties", "losses", "studies_for_05", "studies_for_02", "networks_differ", "different",
]  # fmt: skip


@dataclass(frozen=True)
class Folds:
    """A cross-validation: the fold that tested each patient, and its test studies over its training studies."""

    of_patient: np.ndarray
    test_share: float


class Estimate(NamedTuple):
    """Means with their standard errors and degrees of freedom, arrays of one shape."""

    mean: np.ndarray
    error: np.ndarray
    freedom: np.ndarray

    @property
    def reach(self) -> np.ndarray:
        """Half the width of the 95 % t interval."""
        reach: np.ndarray = special.stdtrit(self.freedom, 0.5 + CONFIDENCE / 2) * self.error
        return reach

    @property
    def p(self) -> np.ndarray:
        """The two-sided p of a t test that the true mean is 0; 1 where mean and error both are."""
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * special.stdtr(self.freedom, -np.abs(self.mean) / self.error)
        return np.where((self.mean == 0) & (self.error == 0), 1, p)


class Pairs(NamedTuple):
    """Intervals and tests of all pairs of models, arrays (pairs, …); `differences` has the patients last.

    low, high, p_rank and p_mean are of these trained networks on other patients; those called recipe are of networks
    trained again, and NaN where every model of a pair has been trained once.
    """

    differences: np.ndarray
    low: np.ndarray
    high: np.ndarray
    recipe_low: np.ndarray
    recipe_high: np.ndarray
    p_rank: np.ndarray
    p_mean: np.ndarray
    p_recipe: np.ndarray

    @property
    def p_networks(self) -> np.ndarray:
        p: np.ndarray = np.fmax(self.p_rank, self.p_mean)
        return p

    @property
    def p(self) -> np.ndarray:
        """The largest p: a difference has to stand in every test that there is."""
        p: np.ndarray = np.fmax(self.p_networks, self.p_recipe)
        return p


def fewest_studies(confidence: float = CONFIDENCE) -> int:
    """Return the smallest number of studies for which resampling can reach the level `confidence`: 6 for 95 %.

    A resample cannot leave the range of its n values, and that range holds the median with a probability of only
    1 − 2^(1−n), which has to reach `confidence`.
    """
    return math.ceil(1 - math.log2(1 - confidence))


def over_patients(values: np.ndarray) -> Estimate:
    """Return the mean over patients (the last dimension), and its error for other patients; NaN for a single one."""
    patients = values.shape[-1]
    if patients < 2:
        mean = values.mean(axis=-1) if patients else np.full(values.shape[:-1], math.nan)
        return Estimate(mean, np.full(mean.shape, math.nan), np.ones(mean.shape))
    mean, error = values.mean(axis=-1), values.std(axis=-1, ddof=1) / math.sqrt(patients)
    # Equal values differ by the order of summation, which is no spread.
    return Estimate(mean, np.where(np.ptp(values, axis=-1) < 1e-12, 0, error), np.full(mean.shape, patients - 1.0))


def over_folds(values: np.ndarray, folds: Folds) -> Estimate:
    """Return the mean over patients, and its error for networks that are trained and tested on other patients.

    The corrected resampled t: the variance between the folds' means times 1/k + test share, since the folds' training
    sets overlap. NaN for fewer than two folds. Source: Nadeau and Bengio, Machine Learning 52:239 (2003),
    doi:10.1023/A:1024068626366.
    """
    numbers = np.unique(folds.of_patient)
    mean = values.mean(axis=-1)
    if numbers.size < 2:
        return Estimate(mean, np.full(mean.shape, math.nan), np.ones(mean.shape))
    means = np.stack([values[..., folds.of_patient == number].mean(axis=-1) for number in numbers])
    error = np.sqrt((1 / numbers.size + folds.test_share) * means.var(axis=0, ddof=1))
    return Estimate(mean, error, np.full(mean.shape, numbers.size - 1.0))


def over_trainings(values: np.ndarray, own: Sequence["Spread"], all_models: Sequence["Spread"]) -> list[Estimate]:
    """Return the mean over patients, and its error for networks trained again and other patients, judged twice.

    values: averaged over trainings; own: the spread over trainings of the models that `values` come from. The variance
    is that over patients plus that over trainings, as if both were drawn again, crossed; the first estimate takes the
    latter from the models' own trainings, the second from those of all models together. With three trainings a
    model, its own are by chance far too alike for one of many pairs: a claim needs both. Degrees of freedom after
    Satterthwaite (1946), doi:10.2307/3002019; crossed resampling after Bouthillier et al. (2021), arXiv:2103.03098.
    """
    patients = over_patients(values)
    several = [spread for spread in all_models if spread.trainings > 1]
    freedom = sum(spread.trainings - 1 for spread in several)
    pooled = sum(spread.of_one * (spread.trainings - 1) for spread in several) / freedom
    raw = sum(spread.raw * (spread.trainings - 1) for spread in several) / freedom
    share = sum(1 / spread.trainings for spread in own if spread.trainings > 1)
    parts = [
        (
            sum(spread.of_one / spread.trainings for spread in own),
            sum((spread.raw / spread.trainings) ** 2 / max(spread.trainings - 1, 1) for spread in own),
        ),
        (pooled * share, (raw * share) ** 2 / freedom),
    ]
    estimates = []
    for variance, uncertainty in parts:
        total = patients.error**2 + np.maximum(variance, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            degrees = total**2 / (patients.error**4 / patients.freedom + uncertainty)
        estimates.append(Estimate(patients.mean, np.sqrt(total), np.where(total > 0, degrees, patients.freedom)))
    return estimates


class Spread(NamedTuple):
    """How much the mean over patients varies from training to training of a model.

    raw: the variance of the trainings' means; of_one: less what the patients' own noise adds to it, which may be
    negative by chance. Both are 0 for a single training.
    """

    trainings: int
    raw: np.ndarray
    of_one: np.ndarray


def training_spread(scores: np.ndarray) -> Spread:
    """Return the spread of a model's scores (trainings, …, patients) over its trainings."""
    trainings, patients = scores.shape[0], scores.shape[-1]
    if trainings < 2 or patients < 2:
        return Spread(1, np.zeros(scores.shape[1:-1]), np.zeros(scores.shape[1:-1]))
    means = scores.mean(axis=-1, keepdims=True)
    noise = scores - means - (scores - means).mean(axis=0)
    noise_variance = (noise**2).sum(axis=(0, -1)) / ((trainings - 1) * (patients - 1))
    raw = means[..., 0].var(axis=0, ddof=1)
    return Spread(trainings, raw, raw - noise_variance / patients)


def recipe_estimates(
    values: np.ndarray, own: Sequence[Spread], all_models: Sequence[Spread], folds: Folds | None
) -> list[Estimate]:
    """Return the estimates for networks trained again that there are: by fold, by training, or none."""
    if folds is not None:
        return [over_folds(values, folds)]
    return over_trainings(values, own, all_models) if any(spread.trainings > 1 for spread in own) else []


def dice_interval(estimates: Sequence[Estimate]) -> np.ndarray:
    """Return (low, high), the widest of the 95 % t intervals of a mean Dice on the logit scale, within 0 and 1.

    NaN without an estimate or an error; of no width where the mean is 0 or 1. The logit of the mean has the error
    error / (mean (1 − mean)), by the delta method: Agresti, Categorical Data Analysis (2013), section 16.1.
    """
    if not estimates:
        return np.full(2, math.nan)
    mean, reach = estimates[0].mean, np.max([estimate.reach for estimate in estimates], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = special.expit(special.logit(mean) + np.multiply.outer((-1, 1), reach / (mean * (1 - mean))))
    inside = (mean > 0) & (mean < 1)
    return np.where(inside, ends, np.where(np.isnan(reach), math.nan, mean))


def signed_rank_p(differences: ArrayLike) -> np.ndarray:
    """Return the two-sided p of Wilcoxon's signed-rank test that paired differences are symmetric about zero.

    The last dimension is tested. Zero differences are left out, as Wilcoxon did; where nothing else is left p is 1,
    without any difference NaN. It is exact for up to 13 patients, and for up to 50 where no two differences have equal
    size.

    Source: Wilcoxon, Biometrics Bulletin 1:80 (1945), doi:10.2307/3001968.
    """
    values = np.asarray(differences, dtype=float)
    if not values.size:
        return np.full(values.shape[:-1], math.nan)
    rows = values.reshape(-1, values.shape[-1])
    sizes = np.sort(np.abs(rows), axis=-1)
    plain = (sizes[:, 0] > 0) & (np.diff(sizes, axis=-1) > 0).all(axis=-1)
    p = np.ones(len(rows))
    if plain.any():  # in one call, which is all that a large simulation can wait for
        p[plain] = stats.wilcoxon(rows[plain], axis=-1).pvalue
    for number in np.flatnonzero(~plain & sizes.any(axis=-1)):
        p[number] = stats.wilcoxon(rows[number][rows[number] != 0]).pvalue
    return p.reshape(values.shape[:-1])


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

    The first dimension holds the tests. NaN stays NaN and does not count as a test. Source: Holm, Scand J Stat 6:65
    (1979), jstor.org/stable/4615733.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, axis=0)
    factors = np.isfinite(p).sum(axis=0) - np.arange(len(p)).reshape(-1, *[1] * (p.ndim - 1))
    adjusted = np.empty_like(p)
    steps = np.maximum.accumulate(np.take_along_axis(p, order, axis=0) * factors, axis=0)
    np.put_along_axis(adjusted, order, np.minimum(1, steps), axis=0)
    return adjusted


def studies_for(effect: float, deviation: ArrayLike, alpha: float = ALPHA, power: float = POWER) -> np.ndarray:
    """Return how many studies a paired t test needs to find a true mean difference `effect` with the chance `power`.

    deviation: of the differences, an array; NaN where it is 0 or NaN. Source: Cohen, Statistical Power Analysis
    (1988), ch. 2, with the exact noncentral t distribution.
    """
    spread = np.asarray(deviation, dtype=float)
    needed = np.where(spread > 0, 2.0, math.nan)
    quantiles = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    with np.errstate(invalid="ignore"):
        # The normal approximation is too small by the few studies that the estimate of the spread costs.
        needed = np.fmax(needed, np.where(spread > 0, np.floor((quantiles * spread / effect) ** 2), math.nan))
        while True:
            critical = special.stdtrit(needed - 1, 1 - alpha / 2)
            low = special.nctdtr(needed - 1, effect * np.sqrt(needed) / spread, critical) > 1 - power
            if not low.any():
                return needed
            needed = needed + low


def judge_pairs(scores: Sequence[np.ndarray], folds: Folds | None = None) -> Pairs:
    """Return intervals and tests of each two of some models' scores (trainings, …, patients)."""
    # Rounded, so that two means over trainings that differ by the order of summation are a tie.
    means = [model.mean(axis=0) for model in scores]
    spreads = [training_spread(model) for model in scores]
    rows = []
    for first, second in combinations(range(len(scores)), 2):
        differences = (means[first] - means[second]).round(12)
        networks = over_patients(differences)
        recipes = recipe_estimates(differences, [spreads[first], spreads[second]], spreads, folds)
        nothing = np.full(networks.mean.shape, math.nan)
        reach = np.max([estimate.reach for estimate in recipes], axis=0) if recipes else nothing
        again = np.max([estimate.p for estimate in recipes], axis=0) if recipes else nothing
        ends = [networks.mean + sign * width for width in (networks.reach, reach) for sign in (-1, 1)]
        rows.append((differences, *ends, signed_rank_p(differences), networks.p, again))
    return Pairs(*(np.stack(column) for column in zip(*rows, strict=True)))


def decide(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Holm's p, whether the trained networks differ, and whether all evidence says so, each (pairs, …).

    Two models differ where the largest of the pair's p values, corrected for all pairs, is below ALPHA, and mean and
    ranks point one way.
    """
    signs = np.sign(pairs.differences)
    one_way = np.sign(signs.sum(axis=-1)) * np.sign(pairs.differences.sum(axis=-1)) > 0
    p_holm = holm(pairs.p)
    return p_holm, one_way & (holm(pairs.p_networks) < ALPHA), one_way & (p_holm < ALPHA)


def compare_pairs(scores: Mapping[str, np.ndarray], folds: Folds | None = None) -> pd.DataFrame:
    """Return a row for each pair of models, with the columns PAIR_COLUMNS.

    scores: (trainings, patients) of each model. `difference` is the mean of first − second over patients; `low` and
    `high` are its 95 % t interval for other patients, `recipe_low` and `recipe_high` that for networks trained again,
    each for this pair alone. `p_rank` is Wilcoxon's, `p_mean` that of the t test over patients, `p_recipe` that for
    networks trained again; `p_holm` is the largest of them, corrected for all pairs. `wins` counts the patients in whom
    the first scores higher. `studies_for_05` and `studies_for_02` are what a difference of 0.05 or 0.02 would need at
    this spread and the strictest level that Holm asks for. `networks_differ` leaves the trainings' luck out of the
    claim, `different` does not (`decide`).
    """
    names = list(combinations(scores, 2))
    if not names:
        return pd.DataFrame(columns=PAIR_COLUMNS)
    pairs = judge_pairs(list(scores.values()), folds)
    signs = np.sign(pairs.differences)
    enough = pairs.differences.shape[-1] > 1
    spread = pairs.differences.std(axis=-1, ddof=1) if enough else np.full(len(names), math.nan)
    planned = [studies_for(effect, spread.round(12), ALPHA / len(names)) for effect in PLANNED]
    p_holm, networks, different = decide(pairs)
    mean = over_patients(pairs.differences).mean
    table = pd.DataFrame(names, columns=["first", "second"]).assign(difference=mean)
    table[["low", "high", "recipe_low", "recipe_high"]] = np.transpose(pairs[1:5])
    table[["p_rank", "p_mean", "p_recipe"]] = np.transpose(pairs[5:])
    table["p_holm"] = p_holm
    for name, sign in (("wins", 1), ("ties", 0), ("losses", -1)):
        table[name] = (signs == sign).sum(axis=-1)
    table["studies_for_05"], table["studies_for_02"] = planned
    return table.assign(networks_differ=networks, different=different)[PAIR_COLUMNS]


def rank_distribution(scores: Mapping[str, np.ndarray], resamples: int = RESAMPLES) -> pd.DataFrame:
    """Return how often each model (row) takes each rank 1…k (column) when patients and trainings are drawn again.

    scores: (trainings, patients) of each model. Patients are drawn with replacement, the same for all models, and so
    are the trainings of each model; models are ranked by their mean, equal ones in random order. Rows and columns sum
    to 1; with fewer patients than `fewest_studies` all is NaN.

    Source: Wiesenfarth et al., Sci Rep 11:2369 (2021), doi:10.1038/s41598-021-82017-6; trainings crossed with patients
    after Bouthillier et al. (2021), arXiv:2103.03098.
    """
    names, ranks = list(scores), range(1, len(scores) + 1)
    patients = next(iter(scores.values())).shape[-1]
    if patients < fewest_studies():
        return pd.DataFrame(math.nan, index=names, columns=ranks)
    rng = np.random.default_rng(SEED)

    def drawn(count: int) -> np.ndarray:
        return rng.multinomial(count, np.full(count, 1 / count), size=resamples) / count

    weights = drawn(patients)
    means = np.empty((resamples, len(names)))
    for column, model in enumerate(scores.values()):
        by_training = weights @ model.T
        means[:, column] = (by_training * drawn(len(model))).sum(axis=1) if len(model) > 1 else by_training[:, 0]
    order = np.lexsort((rng.random(means.shape), -means.round(12)), axis=1)
    shares = [np.bincount(order[:, rank - 1], minlength=len(ranks)) / resamples for rank in ranks]
    return pd.DataFrame(np.transpose(shares), index=names, columns=ranks)


def studies_needed(pairs: int) -> int:
    """Return the smallest number of studies in which the signed-rank test can reach ALPHA after Holm's correction.

    Its smallest two-sided p is 2^(1−n), which Holm multiplies by the number of pairs.
    """
    return math.floor(1 + math.log2(pairs / ALPHA)) + 1


def _defined(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    defined: np.ndarray = array[np.isfinite(array)]
    return defined
