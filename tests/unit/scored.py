"""Made-up scores of models on studies."""

import math

import numpy as np
import pandas as pd

from lesionbench.evaluation.comparison import compare_models

LABELS = {"unet": "U-Net", "unet_vgg19": "U-Net with VGG19 encoder"}
REFERENCE = [["unet", 0.602920, 0.809378], ["unet_vgg19", 0.597698, 0.815499]]


def score_frames(models=LABELS, studies=10, seeds=(0, 1)):
    rng = np.random.default_rng(0)
    base = rng.uniform(0.4, 0.7, studies)
    rows = [
        {"model": model, "fold": 0, "seed": seed, "study": f"study_{number:04d}", "dice": dice + rng.normal(0, 0.02)}
        for model in models
        for seed in seeds
        for number, dice in enumerate(base)
    ]
    by_study = pd.DataFrame(rows).assign(precision=0.5, hd95_mm=20.0)
    by_study.loc[by_study["study"] == "study_0000", "hd95_mm"] = math.nan
    by_slice = by_study.drop(columns=["precision", "hd95_mm"]).assign(slice=0, reference_voxels=10, predicted_voxels=10)
    by_study["reference_ml"] = np.tile(rng.lognormal(4, 1, studies), len(models) * len(seeds))
    by_study["predicted_ml"] = by_study["reference_ml"] * rng.lognormal(0, 0.3, len(by_study))
    return by_study, by_slice


def compared(labels=LABELS, studies=10, seeds=(0, 1), reference=REFERENCE):
    """The comparison of models with these names on `score_frames`."""
    return compare_models(*score_frames(labels, studies, seeds), labels, reference, resamples=100)


def simulate(studies, effects, rng):
    """Dice of models on common studies: `effects` are added to a shared difficulty."""
    base = rng.normal(0.6, 0.1, studies)
    return pd.DataFrame(
        {name: base + effect + rng.normal(0, 0.03, studies) for name, effect in zip("abcd", effects, strict=False)}
    )


def one_training(**scores):
    """The Dice of models that were trained once, as statistics take them: (trainings, patients) of each."""
    return {name: np.asarray(values)[None] for name, values in scores.items()}
