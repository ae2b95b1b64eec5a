"""The checklists that journals ask for, filled in as far as a run knows, with what only the authors can say.

CLAIM 2024: Tejani et al., Checklist for Artificial Intelligence in Medical Imaging, https://doi.org/10.1148/ryai.240300,
whose numbers are given; topics are in our words. Metrics Reloaded: Maier-Hein, Reinke et al.,
https://doi.org/10.1038/s41592-023-02151-z, whose recommendations have no numbers of items.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lesionbench.evaluation.comparison import FAILURE, Comparison
from lesionbench.evaluation.lesions import LOOSE, STRICT
from lesionbench.evaluation.subgroups import axial_spacing
from lesionbench.report.subset_table import SUBSET_TITLES
from lesionbench.report.tables import Table, format_interval, format_number
from lesionbench.words import counted, listed

CLAIM, RELOADED = "CLAIM 2024", "Metrics Reloaded"


@dataclass(frozen=True)
class Facts:
    """What a run knows.

    config: with all defaults; labels: of the models; elsewhere: folders of masks from elsewhere, by label; comparison:
    of the data set; inventory: of its studies; folds: study and subset of each fold; records: of the trainings, those
    of external methods too.
    """

    config: Mapping[str, Any]
    labels: Mapping[str, str]
    elsewhere: Mapping[str, str]
    comparison: Comparison
    inventory: pd.DataFrame
    folds: Sequence[pd.DataFrame]
    records: Sequence[Mapping[str, Any]]

    @property
    def models(self) -> dict[str, Mapping[str, Any]]:
        """The entries of the models that are compared, by their labels."""
        return {label: self.config["models"][model] for model, label in self.labels.items()}

    @property
    def trained(self) -> dict[str, Mapping[str, Any]]:
        """Those that are trained here, with further members of ensembles."""
        return {
            entry.get("label", model): entry
            for model, entry in self.config["models"].items()
            if "architecture" in entry
        }


def checklist(facts: Facts) -> Table:
    """Return a row an item: checklist, number, topic, what is known from the run, and what the authors add."""
    rows = [(CLAIM, *row) for row in _claim(facts)] + [(RELOADED, "", *row) for row in _reloaded(facts)]
    columns = ["checklist", "item", "topic", "known", "authors"]
    data = pd.DataFrame(rows, columns=columns)
    shown = data.set_axis(["Checklist", "Item", "Topic", "Known from this run", "The authors add"], axis="columns")
    shown["Checklist"] = shown["Checklist"].where(~shown["Checklist"].duplicated(), "")
    notes = (
        "CLAIM 2024: Tejani et al., doi:10.1148/ryai.240300, with its item numbers; Metrics Reloaded: Maier-Hein, "
        "Reinke et al., doi:10.1038/s41592-023-02151-z. Topics are in our words: fill in the official forms from "
        "here. Where nothing is known from the run, only the authors can answer.",
    )
    return Table("Checklist for the manuscript", data, shown, notes, text_columns=5, prose=True)


def _claim(facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    yield "1", "Title", "Segmentation by deep learning" if facts.trained else "", "A title that names the technique"
    yield "2", "Abstract", "", "Design, data, methods, results and conclusions in short"
    yield "3", "Background", "", "Clinical background and intended use"
    yield "4", "Aims", "", "Questions and hypotheses, stated before the results were seen"
    yield "5", "Prospective or retrospective", "", "How the data were collected"
    yield "6", "Goal of the study", f"Comparison of {counted(len(facts.labels), 'model')}", "What follows from it"
    yield from _claim_data(facts)
    yield from _claim_reference(facts)
    yield from _claim_partitions(facts)
    yield from _claim_models(facts)
    yield from _claim_evaluation(facts)
    yield from _claim_results(facts)
    yield "40", "Limitations", "", "Of the data, of the references and of the comparison"
    yield "41", "Implications", "", "What follows for practice, and what has to come first"
    yield (
        "42",
        "Full protocol",
        "The configuration with all defaults is in config.json and summary.html",
        "Registration",
    )
    commits = sorted({record["environment"]["git_commit"] or "unknown" for record in facts.records})
    yield (
        "43",
        "Availability of code, models and data",
        f"Commit {listed(commits)}; `lesionbench export` packs what can be checked" if commits else "",
        "Where code, weights and data are, and under which licence",
    )
    yield "44", "Funding", "", "Sources and the role of the funders"


def _claim_data(facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    table, preprocessing = facts.inventory, facts.config["preprocessing"]
    external = listed(list(facts.config["external"])) if facts.config["external"] else "none"
    hashes = f"SHA-256 of {len(table):,} studies in dataset/studies.csv; external sets: {external}"
    yield "7", "Data sources", hashes, "Hospitals, period, publication and licence of each data set"
    yield "8", "Inclusion and exclusion", f"{counted(len(table), 'study')} found", "Criteria, and how they were applied"
    low, high = preprocessing["hu_window"]
    size = [f"{key} {preprocessing[key]}" for key in ("spacing", "size") if preprocessing[key]]
    steps = [
        f"{preprocessing['plane']} slices",
        f"{low:,} to {high:,} HU".replace("-", "−"),
        *(size or ["no resampling"]),
    ]
    own = [
        label for label, entry in facts.trained.items() if entry.get("preprocessing", preprocessing) != preprocessing
    ]
    steps += [f"otherwise for {listed(own)}"] if own else []
    yield "9", "Preprocessing", "; ".join(steps), "What was done before, such as conversion from DICOM"
    annotated = int((table["mask"] != "").sum())
    yield "10", "Selection of subsets", f"{counted(annotated, 'study')} with a mask", "Why these have a mask"
    yield "11", "De-identification", "", "Method, and approval of an ethics committee"
    undefined = "No value is imputed: undefined scores are counted and left out of their mean"
    yield "12", "Missing data", undefined, "Missing clinical data, if any are used"
    spacings = sorted({axial_spacing(*row) for row in zip(table["spacing_mm"], table["orientation"], strict=True)})
    known = [spacing for spacing in spacings if spacing == spacing]
    range_mm = " to ".join(dict.fromkeys(f"{spacing:g}" for spacing in known[:1] + known[-1:]))
    yield "13", "Acquisition", f"Axial slices {range_mm} mm apart" if known else "", "Scanners, dose, kernel, contrast"


def _claim_reference(facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    labels = facts.config["dataset"]["lesion_labels"]
    which = f"labels {listed(list(map(str, labels)))}" if labels else "voxels of 1"
    yield "14", "Definition of the reference", f"Lesion masks: {which} are lesion", "What was drawn as lesion, and how"
    yield "15", "Why this reference", "", "Why masks, and not another reference"
    yield "16", "Who annotated", "", "Number, training and experience of the readers"
    yield "17", "How the test set was annotated", "", "Software, and whether readers saw any model's masks"
    yield "18", "Agreement of readers", "", "Between and within readers; how differences were settled"


def _claim_partitions(facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    split, counts = facts.config["split"], [fold["subset"].value_counts() for fold in facts.folds]
    parts = [
        f"{title.lower()} {_range([int(count.get(name, 0)) for count in counts])}"
        for name, title in SUBSET_TITLES.items()
    ]
    how = "from a file of the authors" if split["file"] else f"{split['protocol']}, seed {split['seed']}"
    folds = f" in {counted(len(facts.folds), 'fold')}" if len(facts.folds) > 1 else ""
    yield "19", "Partitions", f"{how}{folds}: {', '.join(parts)}", "Why these shares"
    if "patient" in facts.inventory:
        level, more = "By patient: all studies of one are in one part", ""
    else:
        level, more = "By study; no patients are named", "That no patient has two studies"
    if facts.elsewhere:
        more = f"{more}. Whether {listed(list(facts.elsewhere))} learned from any test study".removeprefix(". ")
    yield "20", "Level at which partitions are disjoint", level, more
    needed = facts.comparison.pairs["studies_for_05"].max() if len(facts.comparison.pairs) else float("nan")
    more_studies = f"; {needed:,.0f} would find a difference of 0.05 in every pair" if needed == needed else ""
    yield "21", "Size of the test set", f"{_sample(facts)}{more_studies}", "Which size was planned, and why"


def _claim_models(facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    networks = [f"{label}: {_network(entry)}" for label, entry in facts.trained.items()]
    others = f"What {listed(list(facts.elsewhere))} is, and what it was trained on" if facts.elsewhere else ""
    yield "22", "Models", "; ".join(networks), others
    versions = sorted({_versions(record["environment"]) for record in facts.records})
    yield "23", "Software and hardware", "; ".join([*versions, *_devices(facts)]), ""
    starts = [f"{label}: {entry.get('encoder_weights') or 'random'}" for label, entry in facts.trained.items()]
    yield "24", "Initial weights", "; ".join(starts), ""
    yield "25", "Training", "; ".join(sorted({_recipe(entry["training"]) for entry in facts.trained.values()})), ""
    judged = sorted({entry["training"]["best_epoch_by"] for entry in facts.trained.values()})
    best = f"The best epoch of each training by validation {listed(judged)}" if judged else ""
    yield "26", "Selection of the model", best, "What else was tried, and on which data" if judged else ""
    members = {label: entry["members"] for label, entry in facts.models.items() if "members" in entry}
    ensembles = "; ".join(f"{label}: mean of {listed(list(names))}" for label, names in members.items())
    yield "27", "Ensembles", ensembles or "None", ""


def _claim_evaluation(facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    yield (
        "28",
        "Metrics",
        "Dice first; surfaces, volumes and lesions beside it (docs/metrics.md)",
        "Why they fit the use",
    )
    seeds = counted(len(facts.config["seeds"]), "seed") if facts.trained else "no training here"
    tests = f"95 % intervals over patients, tests of ranks and means, corrected by Holm; {seeds} (docs/statistics.md)"
    yield "29", "Uncertainty and significance", tests, ""
    yield (
        "30",
        "Robustness",
        "Groups of studies (table subgroups), other scores (figure rank_agreement)",
        "Other analyses",
    )
    yield "31", "Explainability", "None made", ""
    unseen = " that no training and no choice here has seen" if facts.trained else ""
    yield "32", "Internal testing", f"{_sample(facts)}{unseen}", ""
    sets = "; ".join(section.get("label", name) for name, section in facts.config["external"].items())
    yield "33", "External testing", sets or "None", "" if sets else "Why there is none"
    yield "34", "Registration of a trial", "", "If it is one"


def _claim_results(facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    models = facts.comparison.models
    yield (
        "35",
        "Numbers included and excluded",
        f"{counted(len(facts.inventory), 'study')}; tested: {_sample(facts)}",
        "Flow of patients",
    )
    yield "36", "Demographics", "", "Age, sex and severity in each partition"
    dice = [
        f"{row['label']} {format_number(row['mean_dice'])} ({format_interval(row['mean_low'], row['mean_high'])})"
        for row in models.to_dict("records")
    ]
    yield "37", "Performance", f"Mean Dice: {'; '.join(dice)}", "Against readers, if that is claimed"
    yield "38", "Precision of the estimates", "The intervals of item 37; false positives in studies without lesion", ""
    failures = "; ".join(f"{row.label} {row.failures}" for row in models.itertuples())
    yield "39", "Failures", f"Studies with a Dice below {FAILURE}: {failures}; worst studies in figures", "Causes"


def _reloaded(facts: Facts) -> Iterator[tuple[str, str, str]]:
    scoring = facts.config["evaluation"]
    yield "Category of the problem", "Semantic segmentation; lesions also as instances", ""
    yield "Unit of analysis", "The patient's study; slices are never taken for independent", ""
    yield "Overlap", "Dice of the volume (table comparison)", ""
    tolerance = f"{scoring['surface_tolerance_mm']:g} mm"
    yield (
        "Boundaries",
        f"Surface Dice at {tolerance}, HD95 (table metrics)",
        f"Why {tolerance}, such as readers' agreement",
    )
    yield "Volume", "Signed, relative and absolute error (table volumes)", ""
    smallest = f"{scoring['min_lesion_mm3']:g} mm³"
    matching = f"One to one at an intersection over union above {LOOSE:g} and {STRICT:g}; from {smallest} on"
    yield "Detection of lesions", f"{matching} (table lesions)", f"Why {smallest}"
    sample = facts.comparison.sample
    empty = f"Apart from all means of Dice: {counted(sample.lesion_free, 'study')}"
    yield "Reference without lesion", empty, ""
    yield "Prediction without lesion", "Shares are 0, HD95 the diagonal of the image", ""
    yield "Threshold", f"{scoring['threshold']} of a probability", "" if scoring["threshold"] == "validation" else "Why"
    yield "Aggregation", "Seeds first, then studies of a patient, then patients", ""
    yield "Quality of the reference", "", "Noise and disagreement of the reference"
    yield "Choice of the metrics", "", "Which property matters most for the use, and who decided it"


def _sample(facts: Facts) -> str:
    sample = facts.comparison.sample
    several = f" of {counted(sample.patients, 'patient')}" if sample.patients < sample.studies else ""
    return f"{counted(sample.studies, 'study')} with lesion{several}"


def _range(counts: Sequence[int]) -> str:
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def _network(entry: Mapping[str, Any]) -> str:
    encoder = f" with encoder {entry['encoder']}" if entry.get("encoder") else ""
    return f"{entry['architecture']}{encoder}"


def _versions(environment: Mapping[str, Any]) -> str:
    packages = environment["packages"]
    shown = [f"{name} {packages[name]}" for name in ("torch", "segmentation-models-pytorch") if packages.get(name)]
    return ", ".join([f"lesionbench {environment['lesionbench']}", f"Python {environment['python']}", *shown])


def _devices(facts: Facts) -> list[str]:
    devices = {record["device"].get("name", record["device"]["type"]) for record in facts.records}
    return [f"on {listed(sorted(devices))}"] if devices else []


def _recipe(recipe: Mapping[str, Any]) -> str:
    return (
        f"{recipe['optimizer']}, learning rate {recipe['learning_rate']:g}, batch {recipe['batch_size']}, "
        f"loss {recipe['loss']}, augmentation {recipe['augmentation']}, up to {recipe['max_epochs']} epochs, "
        f"patience {recipe['patience']}"
    )
