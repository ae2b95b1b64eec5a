"""What a comparison shows, and what it does not, in words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lesionbench.evaluation.comparison import Comparison, Sample
from lesionbench.evaluation.statistics import ENOUGH_FOR_MEANS, PLANNED, POWER, studies_needed
from lesionbench.report.tables import format_interval, format_number
from lesionbench.words import counted, listed


def unit(sample: Sample) -> str:
    """Return what counts once in means, intervals and tests: "study", or "patient" where some have several."""
    return "study" if sample.patients == sample.studies else "patient"


def units(sample: Sample) -> str:
    """Return the plural of `unit`."""
    return "studies" if unit(sample) == "study" else "patients"


def conclusions(comparison: Comparison) -> tuple[str, ...]:
    """Return sentences that say what the scores show and what they do not; none calls a model best inside the noise."""
    pairs, sample = comparison.pairs, comparison.sample
    if len(comparison.labels) < 2:
        return ("One model was evaluated, so there is nothing to compare it with.",)
    needed = studies_needed(len(pairs))
    if sample.patients < needed:
        return (
            f"{counted(sample.patients, unit(sample))} with a score for every model and "
            f"{counted(len(pairs), 'comparison')}: no difference can be shown here, however large; "
            f"that takes at least {needed}. The order of the means is no evidence for any model.",
            *_sweeps(comparison),
        )
    return (
        *_verdict(comparison),
        *_trained_once(comparison),
        *_not_shown(comparison),
        *_order(comparison),
        *_same_scores(comparison),
        *_sweeps(comparison),
    )


def _verdict(comparison: Comparison) -> tuple[str, ...]:
    """Return what is shown of the model with the highest mean, and of which population."""
    means = comparison.models.set_index("model")["mean_dice"]
    leader = str(means.idxmax())
    beaten, only_networks, rivals = _against(comparison, leader)
    few = comparison.sample.patients < ENOUGH_FOR_MEANS
    most = f" in most {units(comparison.sample)}" if few else ""
    scope = " in the choice of patients and in the training" if comparison.pairs["p_recipe"].notna().all() else ""
    name = f"{comparison.labels[leader]} ({means[leader]:.3f})"
    lower = _some([comparison.labels[model] for model in beaten]) if beaten else ""
    if not rivals:
        verb = f"scores higher{most}" if few else "has a higher mean Dice"
        sentences = [f"{name} {verb} than {lower}, beyond chance{scope}."]
    else:
        others = _some([f"{comparison.labels[model]} ({means[model]:.3f})" for model in rivals])
        sentences = [
            "No model can be called the best: the highest mean Dice, that of "
            f"{name}, cannot be told apart from that of {others}."
        ]
        if beaten:
            sentences.append(f"{comparison.labels[leader]} does score higher{most} than {lower}, beyond chance{scope}.")
    if only_networks:
        sentences.append(
            f"The networks of {comparison.labels[leader]} as they were trained do score higher{most} than those of "
            f"{_some([comparison.labels[model] for model in only_networks])}; trained again, they need not."
        )
    if beaten and few:
        sentences.append(
            f"With fewer than {ENOUGH_FOR_MEANS} {units(comparison.sample)} rare failures can go unseen: this says "
            "which model usually scores higher, and nothing of the means of all patients."
        )
    return tuple(sentences)


def _against(comparison: Comparison, leader: str) -> tuple[list[str], list[str], list[str]]:
    """Return the models that the leader differs from, those of which only the networks do, and all of which not."""
    beaten, only_networks, rivals = [], [], []
    for pair in pairs_of(comparison.pairs, leader).to_dict("records"):
        other = pair["second"] if pair["first"] == leader else pair["first"]
        gain = pair["difference"] if pair["first"] == leader else -pair["difference"]
        if pair["different"] and gain > 0:
            beaten.append(other)
            continue
        rivals.append(other)
        if pair["networks_differ"] and gain > 0:
            only_networks.append(other)
    return beaten, only_networks, rivals


def _trained_once(comparison: Comparison) -> tuple[str, ...]:
    models = comparison.models
    once = models.loc[models["trainings"] < 2, "label"].tolist()
    if not once or comparison.sample.folds > 1:
        return ()
    which = "each model" if len(once) == len(models) else listed(once)
    return (f"There is one training, or one set of masks, of {which}: another training may reverse this.",)


def _not_shown(comparison: Comparison) -> tuple[str, ...]:
    """Return what is still possible where no difference is shown, and what it would take to show one."""
    pairs, sample = comparison.pairs, comparison.sample
    unclear = pairs[~pairs["different"]]
    if unclear.empty:
        return ()
    low, high = widest_interval(unclear)
    apart = int(((low > 0) | (high < 0)).sum())
    sentences = []
    if apart:
        which = counted(apart, "pair")
        sentences.append(
            f"The interval of {which} leaves out zero without a claim: it is for one pair alone, and p, corrected for "
            f"{'all ' if len(pairs) > 1 else ''}{counted(len(pairs), 'comparison')}, is not below 0.05."
        )
    if np.isfinite(low).any() and (high - low).max() > 0:
        reach = format_number(max(-low.min(), high.max()))
        signed = f"{format_number(low.min(), signed=True)} to {format_number(high.max(), signed=True)}"
        sentences.append(
            f"The interval of the difference still allows {signed}: this is no proof that the models are equal."
            if len(pairs) == 1
            else f"Where no difference is shown, the intervals still allow true ones of up to {reach}: this is no "
            "proof that models are equal."
        )
    plans = [(size, unclear[f"studies_for_{100 * size:02.0f}"].dropna()) for size in PLANNED]
    parts = [f"of {size} takes {_span(needed)}" for size, needed in plans if len(needed)]
    if parts:
        correction = f", corrected for {counted(len(pairs), 'comparison')}" if len(pairs) > 1 else ""
        sentences.append(
            f"At the spread seen here, to find a true difference {' '.join([parts[0], units(sample)])}"
            f"{''.join(f', one {part}' for part in parts[1:])} (chance {100 * POWER:.0f}\u00a0%{correction})."
        )
    return tuple(sentences)


def _order(comparison: Comparison) -> tuple[str, ...]:
    chances = comparison.ranks[1].sort_values(ascending=False, kind="stable")
    chances = chances[chances >= 0.005]
    if chances.empty:
        return ()
    shares = [
        f"{comparison.labels[str(model)]}{'' if rank else ' first'} in {100 * chance:.0f}\u00a0%"
        for rank, (model, chance) in enumerate(chances.iloc[:5].items())
    ]
    return (
        f"Drawing the {units(comparison.sample)} again puts {listed(shares)} of draws. These shares say how firm the "
        "order is in this sample; they are no probabilities that a model is the best.",
    )


def _same_scores(comparison: Comparison) -> list[str]:
    pairs = comparison.pairs
    same = pairs[pairs["ties"] == comparison.sample.patients]
    return [
        f"{comparison.labels[pair['first']]} and {comparison.labels[pair['second']]} have the same Dice in each study: "
        "check that their masks are not the same."
        for pair in same.to_dict("records")
    ]


def _sweeps(comparison: Comparison) -> list[str]:
    """Return of each sweep what the choice of a row is worth."""
    sentences = []
    for sweep in comparison.sweeps.to_dict("records"):
        best = f"{comparison.labels[sweep['best']]} ({format_number(sweep['best_dice'])})"
        text = (
            f"{best} is the best of {sweep['rows']} rows of {sweep['label']} on the test, which is optimistic, since "
            "the same scores chose it"
        )
        if np.isfinite(sweep["corrected_dice"]):
            interval = format_interval(sweep["corrected_low"], sweep["corrected_high"])
            text += f": corrected for the choice, {format_number(sweep['corrected_dice'])} ({interval})"
        sentences.append(f"{text}.")
        if np.isfinite(sweep["chosen_dice"]):
            chosen = comparison.labels[sweep["chosen"]] if sweep["chosen"] else "the row of each fold"
            interval = format_interval(sweep["chosen_low"], sweep["chosen_high"])
            sentences.append(
                f"Chosen on validation studies, {chosen} scores {format_number(sweep['chosen_dice'])} ({interval}) on "
                "the test: report this."
            )
    return sentences


def widest_interval(pairs: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the ends of what an interval of each pair holds: for networks trained again where that is known."""
    low, high = pairs[["low", "recipe_low"]].min(axis=1), pairs[["high", "recipe_high"]].max(axis=1)
    return low, high


def pairs_of(pairs: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the pairs that a model is one of."""
    return pairs[(pairs["first"] == model) | (pairs["second"] == model)]


def _some(names: Sequence[str], most: int = 6) -> str:
    """Return names as a part of a sentence; the table has those that are too many for it."""
    if len(names) <= most:
        return listed(names)
    return listed([*names[: most - 1], f"{len(names) - most + 1} more"])


def _span(numbers: pd.Series) -> str:
    low, high = (f"{number:,.0f}" for number in (numbers.min(), numbers.max()))
    return low if low == high else f"{low} to {high}"
