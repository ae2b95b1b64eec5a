"""What a comparison shows, and what it does not, in words."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lesionbench.evaluation.comparison import Comparison
from lesionbench.evaluation.statistics import POWER, studies_needed
from lesionbench.words import counted, listed


def conclusions(comparison: Comparison) -> tuple[str, ...]:
    """Return sentences that say what the scores show and what they do not; none calls a model best inside the noise."""
    scores, pairs, ranks, labels = comparison.dice, comparison.pairs, comparison.ranks, comparison.labels
    common = scores.dropna()
    if scores.shape[1] < 2:
        return ("One model was evaluated, so there is nothing to compare it with.",)
    needed = studies_needed(len(pairs))
    if len(common) < needed:
        return (
            f"{counted(len(common), 'study')} with a score for every model and "
            f"{counted(len(pairs), 'comparison')}: no difference can be shown here, however large; "
            f"that takes at least {needed} studies. The order of the means is no evidence for any model.",
        )
    leader = str(common.mean().idxmax())
    shown = pairs[pairs["different"]].to_dict("records")
    lower = {pair["second"] for pair in shown if pair["first"] == leader and pair["difference"] > 0}
    lower |= {pair["first"] for pair in shown if pair["second"] == leader and pair["difference"] < 0}
    beaten = [name for name in scores.columns if name in lower]
    rivals = [name for name in scores.columns if name != leader and name not in lower]
    return (*_verdict(leader, beaten, rivals, common, labels), *_caution(pairs, ranks, labels, len(common)))


def _verdict(
    leader: str, beaten: Sequence[str], rivals: Sequence[str], common: pd.DataFrame, labels: Mapping[str, str]
) -> tuple[str, ...]:
    name = f"{labels[leader]} ({common[leader].mean():.3f})"
    lower = [labels[model] for model in beaten]
    if not rivals:
        return (f"{name} has a higher mean Dice than {listed(lower)}; the difference from each is beyond chance.",)
    first = (
        f"No model can be called the best: the highest mean Dice, that of {name}, cannot be distinguished from that of "
        f"{listed([f'{labels[model]} ({common[model].mean():.3f})' for model in rivals])}."
    )
    return (first, f"{labels[leader]} does score higher than {listed(lower)}, beyond chance.") if beaten else (first,)


def _caution(pairs: pd.DataFrame, ranks: pd.DataFrame, labels: Mapping[str, str], studies: int) -> tuple[str, ...]:
    chances = ranks[1].sort_values(ascending=False, kind="stable")
    chances = chances[chances >= 0.005]
    often = [(labels[str(model)], f"in {100 * chance:.0f}\u00a0%") for model, chance in chances.items()]
    shares = [
        f"{label} first {share}" if not rank else f"{label} {share}" for rank, (label, share) in enumerate(often[:5])
    ]
    sentences = [f"Drawing the studies again puts {listed(shares)} of draws."]
    same = pairs[(pairs["ties"] == pairs["studies"]) & (pairs["studies"] > 0)]
    sentences += [
        f"{labels[pair['first']]} and {labels[pair['second']]} have the same Dice in each study: check that "
        "their masks are not the same."
        for pair in same.to_dict("records")
    ]
    detectable = pairs.loc[~pairs["different"], "detectable"].dropna()
    if len(detectable):
        low, high = (_rounded(size) for size in (detectable.min(), detectable.max()))
        size = low if low == high else f"{low} to {high}, depending on the pair,"
        sentences.append(
            f"A true difference smaller than {size} had a chance of less than {100 * POWER:.0f}\u00a0% to be found in "
            f"{studies} studies: a difference that is not found is no proof that models are equal."
        )
    return tuple(sentences)


def _rounded(size: float) -> str:
    """Return a positive number with three decimals, or its first digit where those would all be 0."""
    return f"{size:.3f}" if size >= 0.0005 else np.format_float_positional(size, precision=1, fractional=False)
