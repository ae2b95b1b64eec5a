"""The figures of one output, each an entry here and a function, which the rule `plot` finds by name.

Imported while Snakemake parses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lesionbench.data.studies import CATEGORIES
from lesionbench.experiment.plan import Experiment

INVOLVEMENT = " of lung involvement, from CT-0 (none) to CT-4 (more than three quarters)"


AT_A_GLANCE = "At a glance"
# What stands there, in the order of reading; the report sorts by name, so that it is numbered.
ANSWER = ("summary", "comparison", "dice_by_model", "pairwise", "pairwise_differences", "checklist")


@dataclass(frozen=True)
class ReportTable:
    """Where a table stands in the report: its title, its category and the section of that."""

    title: str
    category: str
    section: str | None = None


@dataclass(frozen=True)
class Figure:
    """A figure: where its function is, what the function takes, where it stands in the report, how to read it.

    name: of its file; title: in the report; function: `module:function` in `report.figures`; reads: the inputs, as the
    function names them (`report.plot.READERS`); category, section: where it is in the report; caption: with
    `{studies}` for the test studies, `{data}` for the data set, `{shown}` for the studies whose slices are shown,
    `{trainings}`, `{choices}`, `{models}`, `{resamples}`, the settings `{tolerance}` and `{smallest}`, `{involvement}`
    for what MosMedData's categories mean, and `{paper}` for a part of a sentence where there are reference results;
    needs: what an experiment must have for it, None where it needs nothing.
    """

    name: str
    title: str
    function: str
    reads: tuple[str, ...]
    category: str
    caption: str
    section: str | None = None
    needs: (
        Literal[
            "ct",
            "categories",
            "trainings",
            "choices",
            "probabilities",
            "costs",
            "several models",
            "external sets",
            "severity",
        ]
        | None
    ) = None

    @property
    def files(self) -> tuple[str, ...]:
        """The kinds of input that are files; labels are words."""
        return tuple(kind for kind in self.reads if kind != "labels")

    @property
    def code(self) -> list[str]:
        """What drawing it looks up by name (`digest.code_digest`)."""
        return [f"report.figures.{self.function}"]


TABLES: Mapping[str, ReportTable] = {
    "calibration": ReportTable("Probabilities", "Probabilities"),
    "checklist": ReportTable("Checklist for the manuscript", AT_A_GLANCE),
    "comparison": ReportTable("Comparison of the models", AT_A_GLANCE),
    "cost": ReportTable("Cost of the models", "Comparison", "Cost"),
    "external_sets": ReportTable("External sets", "Comparison", "External sets"),
    "findings": ReportTable("Findings", "Data"),
    "lesions": ReportTable("Lesions", "Comparison", "Further scores"),
    "metrics": ReportTable("Further metrics", "Comparison", "Further scores"),
    "operating_points": ReportTable("Operating points", "Training"),
    "pairwise": ReportTable("Differences between the models", AT_A_GLANCE),
    "per_study": ReportTable("Dice of each study", "Comparison", "Dice in detail"),
    "readings": ReportTable("Mean Dice by what is averaged", "Comparison", "Dice in detail"),
    "severity": ReportTable("Share of the lungs involved against the radiologists' classes", "Severity"),
    "severity_classes": ReportTable("Share of the lungs involved, by class", "Severity"),
    "severity_pairs": ReportTable("Differences between models, by the radiologists' classes", "Severity"),
    "slices_by_subset": ReportTable("Studies and slices by subset", "Data"),
    "subgroups": ReportTable("Scores in groups of studies", "Comparison", "Dice in detail"),
    "sweep_rows": ReportTable("Sweeps: their rows", "Comparison", "Sweeps"),
    "sweeps": ReportTable("Sweeps: what the choice of a row is worth", "Comparison", "Sweeps"),
    "volumes": ReportTable("Lesion volumes", "Comparison", "Further scores"),
}

FIGURES: Mapping[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure(
            "class_pie",
            "Studies by category",
            "class_pie:class_pie",
            ("classes",),
            "Data",
            "Studies of {data} by category{involvement}, with number and share of all studies.",
            needs="categories",
        ),
        Figure(
            "example_slice",
            "A slice as the models see it",
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
            "Learning curves",
            "learning_curves:learning_curves",
            ("histories", "labels"),
            "Training",
            "Training loss, validation loss and validation Dice over epochs, a panel each for a model and a line "
            "a training (n = {trainings}). The two losses are different measures: the training loss is the "
            "configured one (dice, or dice_ce: Dice plus cross-entropy) over the pixels of a batch, averaged over"
            " batches; the validation loss is always 1 − soft Dice of a study's volume, averaged over studies. "
            "The dot marks the best epoch, of {best_epoch}: early stopping judges by it, and its weights are kept.",
            needs="trainings",
        ),
        Figure(
            "operating_points",
            "Choice of the operating points",
            "operating_points:operating_points",
            ("points", "labels"),
            "Training",
            "How each training chose its operating point (n = {choices}): the mean Dice of its validation studies with "
            "lesion by threshold, and at the chosen threshold by the smallest component that is kept, where that is "
            "chosen too. A line is a training; the dot is what was chosen and is used for the test studies, which "
            "took no part in it. A flat curve is a choice that hardly matters.",
            needs="choices",
        ),
        Figure(
            "dice_by_model",
            "Dice by model",
            "score_charts:dice_by_model",
            ("comparison",),
            AT_A_GLANCE,
            "Dice of {studies} by each model: a dot is a study. A grey line joins the dots of one study; where "
            "there are more than 15 studies, a grey shape shows the density of the dots instead. Squares are "
            "means with their 95 % interval (logit-t over patients, of these trained networks); upright bars are "
            "the paper's means, where given. Studies without lesion are left out. Overlapping intervals do not show "
            "that models are equal, since the studies are the same.",
        ),
        Figure(
            "pairwise_differences",
            "Differences between pairs of models",
            "score_charts:pairwise_differences",
            ("comparison",),
            AT_A_GLANCE,
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
            "Stability of the ranks",
            "score_charts:rank_stability",
            ("comparison",),
            "Comparison",
            "How often each of {models} models takes each rank by mean Dice with the patients of {studies}, and the "
            "trainings of each model, drawn again with replacement ({resamples} times). A row that spreads over "
            "several ranks belongs to a model whose place another sample would change. Shares say how firm this "
            "order is; they are no probabilities that a model is the best: a model may come first in nearly all "
            "draws and not be told apart from the next. The model of the best mean rank comes first. Shares below "
            "0.5 % are left blank.",
            section="Dice in detail",
            needs="several models",
        ),
        Figure(
            "rank_agreement",
            "Ranks by each score",
            "group_charts:rank_agreement",
            ("comparison",),
            "Comparison",
            "Does the order of {models} models change with the score? Above, Kendall's τ between the orders by mean "
            "over {studies}: 1 is the same order, −1 the reverse. Below, the ranks, 1 the best. Each mean is over the "
            "studies in which every model has the score; τ is blank where all models are equal. Surface Dice: at a "
            "tolerance of {tolerance} mm; HD95: 95th percentile; surfaces are voxels; lesions have at least "
            "{smallest} mm³ and are matched above an intersection over union of 0.1; where nothing is predicted, "
            "shares are 0 and HD95 is the image's diagonal.",
            section="Further scores",
            needs="several models",
        ),
        Figure(
            "dice_by_subgroup",
            "Dice in groups of studies",
            "group_charts:dice_by_subgroup",
            ("comparison", "inventory"),
            "Comparison",
            "Dice of {studies} in groups, of those with lesion in the reference: a dot is a study, a large mark the "
            "mean of a model, n the number of studies. Lesion volume: thirds of the studies by the reference's volume; "
            "slice spacing: between axial slices. Groups differ in more than what they are named after.",
            section="Dice in detail",
        ),
        Figure(
            "volume_agreement",
            "Agreement of lesion volumes",
            "score_charts:volume_agreement",
            ("comparison",),
            "Comparison",
            "Agreement of lesion volumes in {studies}, by model (Bland–Altman, of ratios): a dot is a study. The red "
            "line and the number above are the geometric mean of predicted over reference volume, dashed lines and "
            "brackets the limits of agreement as factors (exp of mean ± 1.96 SD of the logarithms), within which "
            "95 % of log-normal ratios lie; they are left out for fewer than six studies. Studies without lesion "
            "in the reference have no ratio and are left out; where nothing is predicted, a triangle at the foot "
            "marks the reference volume, and the limits leave the study out.",
            section="Further scores",
        ),
        Figure(
            "external_sets",
            "Dice on the external sets",
            "external_sets:external_sets",
            ("transfer",),
            "Comparison",
            "Mean Dice of each model on {studies} and on all studies of the external sets, with 95 % "
            "interval (logit-t over patients). A model whose marks lie far apart does not hold on the other set.",
            section="External sets",
            needs="external sets",
        ),
        Figure(
            "dice_by_cost",
            "Dice over cost",
            "score_charts:dice_by_cost",
            ("comparison", "cost"),
            "Comparison",
            "Mean Dice on {studies}, of each model that is trained here, over its parameters and over the "
            "multiply-accumulate operations (in billions) that one slice takes. Bars are 95 % intervals (logit-t "
            "over patients, of these trained networks).",
            section="Cost",
            needs="costs",
        ),
        Figure(
            "reliability",
            "Reliability of the probabilities",
            "calibration_charts:reliability",
            ("calibration", "labels"),
            "Probabilities",
            "Are the probabilities of lesion true? The share of lesion over the mean probability, in ten bins of "
            "probability, of the voxels in the box around the lungs in {studies}; every patient weighs the same. On "
            "the dashed line they are true; below it they are too high, above too low. Nearly all voxels are in the "
            "first bin. Grey: the other models.",
            needs="probabilities",
        ),
        Figure(
            "precision_recall",
            "Precision over recall",
            "calibration_charts:precision_recall",
            ("calibration", "labels"),
            "Probabilities",
            "Precision of the voxels called lesion over the recall of those that are, at all thresholds: the mean over "
            "{studies}, of those with lesion, of the best precision at this recall or a higher one. Grey: the "
            "other models.",
            needs="probabilities",
        ),
        Figure(
            "froc",
            "Lesions found over false lesions (FROC)",
            "calibration_charts:froc",
            ("calibration", "labels"),
            "Probabilities",
            "The share of all lesions that are found over false lesions a study (FROC), a dot for each threshold from "
            "0.98 (left) to 0.02, in {studies}. Lesions have at least {smallest} mm³ and are matched one to one above "
            "an intersection over union of 0.1. At low thresholds lesions merge, so that the curve may turn back. "
            "Grey: the other models.",
            needs="probabilities",
        ),
        Figure(
            "dice_by_threshold",
            "Dice by threshold",
            "calibration_charts:dice_by_threshold",
            ("calibration", "labels"),
            "Probabilities",
            "Mean Dice over {studies}, of those with lesion, by the threshold above which a voxel is called lesion, "
            "with all components kept. The dot is at 0.5. The maximum is no result: it is chosen on the test studies. "
            "Grey: the other models.",
            needs="probabilities",
        ),
        Figure(
            "dice_readings",
            "Mean Dice by what is averaged",
            "score_charts:dice_readings",
            ("comparison",),
            "Comparison",
            "Mean Dice of the same predictions on {studies}, by what is averaged. The distance between the marks "
            "of one model is what the choice of reading alone is worth{paper}.",
            section="Dice in detail",
        ),
        Figure(
            "share_by_class",
            "Share of the lungs by class",
            "severity_charts:share_by_class",
            ("shares", "labels"),
            "Severity",
            "Share of the lungs that each model marks, by the class that radiologists gave the study, from CT-0 (no "
            "involvement) to CT-4 (more than three quarters): a dot is a study of which no training has seen the "
            "patient; their number is below the class. Boxes, of five studies or more, are quartiles; whiskers reach "
            "to the last study within 1.5 times the box. Dashed lines are the bounds of the classes. Radiologists "
            "judge by eye: a study close to a bound may lie on its other side.",
            needs="severity",
        ),
    )
}


def due_figures(experiment: Experiment) -> list[str]:
    """Return the names of the figures that an experiment can have."""
    has = {
        None: True,
        "ct": experiment.shows_ct,
        "categories": bool(experiment.categories),
        "trainings": bool(experiment.networks),
        "choices": bool(experiment.choices),
        "probabilities": bool(experiment.calibrated),
        "costs": bool(experiment.networks and experiment.costs),
        "several models": len(experiment.rows) > 1,
        "external sets": bool(experiment.external),
        "severity": False,  # of a target of its own
    }
    return [figure.name for figure in FIGURES.values() if has[figure.needs]]


_VIEW = "Radiological orientation, lung window (centre −600, width 1500 HU)."
_BEST_EPOCH = {"loss": "the lowest validation loss", "dice": "the highest validation Dice"}


def external_figures(experiment: Experiment) -> list[str]:
    """Return the names of the figures that there are of each external set: those of a comparison alone."""
    return [name for name in due_figures(experiment) if FIGURES[name].reads == ("comparison",)]


def caption(name: str, experiment: Experiment, studies: str | None = None) -> str:
    """Return how a figure is to be read, with what the experiment fills in; `studies`: of an external set."""
    return FIGURES[name].caption.format(
        studies=studies or experiment.test_studies(experiment.dataset_label),
        data=experiment.dataset_label,
        shown=experiment.shown_studies(),
        trainings=len(experiment.trainings),
        best_epoch=" or of ".join(_BEST_EPOCH[by] for by in dict.fromkeys(experiment.best_epoch_by.values())),
        choices=len(experiment.choices),
        models=len(experiment.rows),
        resamples=f"{experiment.settings['evaluation']['resamples']:,}",
        involvement=INVOLVEMENT if experiment.categories == list(CATEGORIES) else "",
        tolerance=f"{experiment.scoring['surface_tolerance_mm']:g}",
        smallest=f"{experiment.scoring['min_lesion_mm3']:g}",
        paper="; the paper does not state its own" if experiment.reference_results and not studies else "",
    )


def predictions_caption(experiment: Experiment, model: str) -> str:
    """Return how the figure of a model's predictions is to be read."""
    return (
        f"The worst, the median and the best study of {experiment.labels[model]} by the Dice of its volume, chosen by "
        f"rule among {experiment.shown_studies(model)} with lesion: up to seven slices of each where it holds most "
        "lesion, the CT above and the contours of reference (blue) and prediction (orange) on it below. The number is "
        f"the slice's Dice (a dash where both masks are empty). {_VIEW}"
    )


def grid_caption(experiment: Experiment) -> str:
    """Return how the figures of all models' predictions are to be read."""
    chosen = (
        f"Slices chosen by rule from {experiment.shown_studies()} to show lesions found (mean Dice of the models at "
        "least 0.7), partly found, barely found (below 0.1) and missed by every model, false positives and an empty "
        "slice"
        if experiment.settings["figures"]["slices"] == "auto"
        else "Slices listed in the configuration"
    )
    return (
        f"{chosen}: CT, and on it the contours of the reference (blue) and of the prediction (orange) of "
        f"{', '.join(experiment.labels.values())}. The number is the slice's Dice (a dash where both masks are empty). "
        f"{_VIEW}"
    )


def entry(kind: Literal["Figure", "Table"], name: str) -> str:
    """Return what the menu of the report calls a figure or a table of the category that it belongs to."""
    place: Figure | ReportTable = FIGURES[name] if kind == "Figure" else TABLES[name]
    number = f"{ANSWER.index(name) + 1}. " if place.category == AT_A_GLANCE else ""
    return f"{number}{kind}: {place.title}"
