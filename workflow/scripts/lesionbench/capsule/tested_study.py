"""A test study of finished results, as a page shows it: CT, reference, and the masks of all models."""

from dataclasses import replace
from pathlib import Path

from lesionbench.capsule.contents import Finished, masks_folder, read_finished
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_ct
from lesionbench.data.studies import find_prediction
from lesionbench.errors import UserError
from lesionbench.experiment.rows import Run
from lesionbench.report.viewed_scan import read_onto
from lesionbench.report.viewer import Shown
from lesionbench.words import first_few


def tested_study(folder: Path, study: str, dataset: Path | None = None, series: str | None = None) -> Shown:
    """Return a test study of the data set or of an external set; of each model, the first run that is tested on it.

    dataset: where its set lies now, by default where the configuration says; series: of its CT, as of a `Reading`.

    Raises UserError where the results are not whole, no test study is called so, or a file is missing or does not fit.
    """
    results = read_finished(folder)
    external, runs = _runs_of(results, study)
    experiment = results.experiment
    cohort = experiment if external is None else experiment.external[external]
    found = cohort.studies[study]
    if found.ct is None:
        raise UserError(f"{study}: {folder} knows no CT of it, so there is nothing to show the masks on.")
    root = dataset or (folder / "phantom" if cohort.is_made_here else Path(cohort.dataset.root))
    if missing := [path for path in (found.ct, found.mask) if path and not (root / path).exists()]:
        raise UserError(f"{root / missing[0]}: no such file. --dataset FOLDER says where the data set lies now.")
    reading = Reading(**cohort.reading())
    reading = replace(reading, series=series or reading.series)
    ct = read_ct(root / found.ct, reading)
    reference = read_onto(ct, "Reference", root / found.mask, reading) if found.mask else None
    masks = [
        read_onto(
            ct,
            cohort.labels[run.model],
            find_prediction(masks_folder(results, run, external), study),
            reading.predicted,
        )
        for run in runs
    ]
    notes = [] if external is None else [f"External set: {experiment.set_labels[external]}."]
    if len(experiment.folds) * len(experiment.settings["seeds"]) > 1:
        notes.append(f"Masks of fold {runs[0].fold}, seed {runs[0].seed}.")
    return Shown(study, ct, masks, reference, notes=notes)


def _runs_of(results: Finished, study: str) -> tuple[str | None, list[Run]]:
    """Return the set that a study is of, None for the data set, and each model's first run that is tested on it."""
    known: dict[str, None] = {}
    for external in results.sets:
        first: dict[str, Run] = {}
        for run in results.runs(external):
            tested = results.tested(run, external)
            known |= dict.fromkeys(tested)
            if study in tested:
                first.setdefault(run.model, run)
        if first:
            return external, list(first.values())
    raise UserError(
        f"{study}: no file is called so, and no test study of {results.folder}. Choose from {first_few(sorted(known))}."
    )
