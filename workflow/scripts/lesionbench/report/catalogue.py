"""The figures of one output, each an entry here and a function, which the rule `plot` finds by name.

Imported while Snakemake parses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lesionbench.experiment.plan import Experiment


@dataclass(frozen=True)
class Figure:
    """A figure: where its function is, what the function takes, where it stands in the report, how to read it.

    name: of its file; function: `module:function` in `report.figures`; reads: the inputs, as the function names them
    (`report.plot.READERS`); category: in the report; caption: with `{studies}` for the test studies,
    `{shown}` for those whose slices are shown, `{trainings}`, `{models}`, `{resamples}`, and `{paper}` for a part of a
    sentence where there are reference results; needs: what an experiment must have for it, None where it needs nothing.
    """

    name: str
    function: str
    reads: tuple[str, ...]
    category: str
    caption: str
    needs: Literal["ct", "trainings", "several models"] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The kinds of input that are files; labels are words."""
        return tuple(kind for kind in self.reads if kind != "labels")

    @property
    def code(self) -> list[str]:
        """What drawing it looks up by name (`digest.code_digest`)."""
        return [f"report.figures.{self.function}"]


FIGURES: Mapping[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure(
            "class_pie",
            "class_pie:class_pie",
            ("classes",),
            "Data",
            "Studies of the data set by category of lung involvement, from CT-0 (none) to CT-4 (more than three "
            "quarters), with number and share of all studies.",
        ),
        Figure(
            "example_slice",
            "ct_panels:example_slice",
            ("stacks",),
            "Data",
            "A slice as the models see it, with the outline of the reference's lesions, and their mask: the slice"
            " with most lesion in the study of median lesion volume among {shown}. Radiological orientation, lung"
            " window (centre −600, width 1500 HU).",
            needs="ct",
        ),
        Figure(
            "learning_curves",
            "learning_curves:learning_curves",
            ("histories", "labels"),
            "Training",
            "Training loss, validation loss and validation Dice over epochs, a panel each for a model and a line "
            "a training (n = {trainings}). The two losses are different measures: the training loss is the "
            "configured one (dice, or dice_ce: Dice plus cross-entropy) over the pixels of a batch, averaged over"
            " batches; the validation loss is always 1 − soft Dice of a study's volume, averaged over studies. "
            "Early stopping judges by the validation loss: the dot marks the epoch where it is lowest, whose "
            "weights are kept.",
            needs="trainings",
        ),
        Figure(
            "dice_by_model",
            "score_charts:dice_by_model",
            ("comparison",),
            "Comparison",
            "Dice of {studies} by each model: a dot is a study. A grey line joins the dots of one study; where "
            "there are more than 15 studies, a grey shape shows the density of the dots instead. Squares are "
            "means with their 95 % interval (logit-t over patients, of these trained networks); upright bars are "
            "the paper's means, where given. Studies without lesion are left out. Overlapping intervals do not show "
            "that models are equal, since the studies are the same.",
        ),
        Figure(
            "pairwise_differences",
            "score_charts:pairwise_differences",
            ("comparison",),
            "Comparison",
            "Mean difference in Dice, first − second, of pairs of models on the same {studies}, without those that "
            "hold no lesion. Thick lines are 95 % intervals of these trained networks (t over patients), thin ones "
            "those of networks trained again, where there are several trainings or folds; both are for one pair "
            "alone. Blue pairs differ: the largest p of all tests (signed ranks, mean, trained again), corrected by "
            "Holm for all pairs, is below 0.05. Of grey ones this is not shown, which does not mean that they are "
            "equal. A hollow mark is a pair whose interval leaves out zero, but not after the correction. Wins are "
            "patients in whom the first scores higher.",
            needs="several models",
        ),
        Figure(
            "rank_stability",
            "score_charts:rank_stability",
            ("comparison",),
            "Comparison",
            "How often each of {models} models takes each rank by mean Dice with the patients of {studies}, and the "
            "trainings of each model, drawn again with replacement ({resamples} times). A row that spreads over "
            "several ranks belongs to a model whose place another sample would change. Shares say how firm this "
            "order is; they are no probabilities that a model is the best: a model may come first in nearly all "
            "draws and not be told apart from the next. The model of the best mean rank comes first. Shares below "
            "0.5 % are left blank.",
            needs="several models",
        ),
        Figure(
            "volume_agreement",
            "score_charts:volume_agreement",
            ("comparison",),
            "Comparison",
            "Agreement of lesion volumes in {studies}, by model (Bland–Altman): a dot is a study. The red line "
            "and the number above are the mean difference, dashed lines and brackets the limits of agreement "
            "(mean ± 1.96 SD), within which 95 % of normally distributed differences lie; they are left out for "
            "fewer than six studies.",
        ),
        Figure(
            "dice_by_cost",
            "score_charts:dice_by_cost",
            ("comparison", "cost"),
            "Comparison",
            "Mean Dice on {studies}, of each model that is trained here, over its parameters and over the "
            "multiply-accumulate operations (in billions) that one slice takes. Bars are 95 % intervals (logit-t "
            "over patients, of these trained networks).",
            needs="trainings",
        ),
        Figure(
            "dice_readings",
            "score_charts:dice_readings",
            ("comparison",),
            "Comparison",
            "Mean Dice of the same predictions on {studies}, by what is averaged. The distance between the marks "
            "of one model is what the choice of reading alone is worth{paper}.",
        ),
    )
}


def due_figures(experiment: Experiment) -> list[str]:
    """Return the names of the figures that an experiment can have."""
    has = {
        None: True,
        "ct": experiment.shows_ct,
        "trainings": bool(experiment.trained),
        "several models": len(experiment.rows) > 1,
    }
    return [figure.name for figure in FIGURES.values() if has[figure.needs]]


def caption(name: str, experiment: Experiment) -> str:
    """Return how a figure is to be read, with what the experiment fills in."""
    return FIGURES[name].caption.format(
        studies=experiment.test_studies(),
        shown=experiment.shown_studies(),
        trainings=len(experiment.trainings),
        models=len(experiment.rows),
        resamples=f"{experiment.settings['evaluation']['resamples']:,}",
        paper="; the paper does not state its own" if experiment.reference_results else "",
    )
