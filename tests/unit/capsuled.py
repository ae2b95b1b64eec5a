"""Finished results without a workflow: two rows from elsewhere, a cross-validation, and an external set."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np

from lesionbench.capsule import recompute
from lesionbench.capsule.contents import base, masks_folder, read_finished, run_folder
from lesionbench.data.frames import write_frame
from lesionbench.data.inventory import findings_frame, inventory
from lesionbench.data.reading import Reading
from lesionbench.data.split import write_fold
from lesionbench.data.studies import DataSet, find_studies
from lesionbench.evaluation.metrics import evaluate
from lesionbench.evaluation.scoring import Scoring
from lesionbench.experiment.config import resolve_config
from lesionbench.report.summary import write_config

AFFINE = np.diag([-2.0, 2.0, 8.0, 1.0])
SETS = {None: "data", "other": "other"}


def _write(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(mask, AFFINE), path)


def _write_set(folder, name, studies):
    """The CTs and masks of a set, and the masks of both models; the last study is without lesion."""
    for number, study in enumerate(studies):
        mask = np.zeros((12, 10, 6), np.uint8)
        if number + 1 < len(studies):
            mask[2 : 5 + number % 3, 3 : 6 + number % 2, 1 : 4 + number % 2] = 1
        _write(folder / name / "masks" / f"{study}_mask.nii.gz", mask)
        _write(folder / name / "studies" / "CT-1" / f"{study}.nii.gz", mask.astype(np.int16) * 700 - 900 - number)
        near = np.roll(mask, 1, axis=0)
        near[1, 1, 0] = mask[0, 0, number % 3] = 1
        _write(folder / f"near-{name}" / f"{study}.nii.gz", near)
        _write(folder / f"far-{name}" / f"{study}_mask.nii", np.roll(mask, 2, axis=1))


def make_results(folder):
    """Write a data set, an external set and their results below `folder`; return where they are."""
    _write_set(folder, "data", [f"study_{number:04d}" for number in range(7)])
    _write_set(folder, "other", [f"case {number} & more" for number in range(3)])
    models = {
        name: {
            "predictions": str(folder / f"{name}-data"),
            "external_predictions": {"other": str(folder / f"{name}-other")},
        }
        for name in ("near", "far")
    }
    config = resolve_config(
        {
            "dataset": {"root": str(folder / "data")},
            "external": {"other": {"root": str(folder / "other")}},
            "split": {"protocol": "cross-validation", "folds": 3},
            "models": models,
            "compare": ["near", "far"],
            "evaluation": {"resamples": 100},
            "preprocessing": {"plane": "axial"},
        }
    )
    results = folder / "results"
    write_config(config, [], {}, results / "config.json")
    (results / "summary.html").write_text("<p>Summary</p>")
    for external, name in SETS.items():
        found = inventory(find_studies(DataSet(folder / name)), folder / name, needs_ct=True)
        inside = results / base(external) / "dataset"
        write_frame(found.table, inside / "studies.csv")
        write_frame(findings_frame(found.findings), inside / "findings.csv")
        write_frame(found.table[["category"]], inside / "classes.csv")
    finished = read_finished(results)
    for fold in finished.experiment.folds.values():
        write_fold(fold, results / "splits" / f"fold-{fold.index}.csv")
    for external, name in SETS.items():
        for run in finished.runs(external):
            references = {
                study: folder / name / "masks" / f"{study}_mask.nii.gz" for study in finished.tested(run, external)
            }
            scores = evaluate(references, masks_folder(finished, run, external), "axial", Scoring(), Reading())
            for frame, file in zip(scores, ("studies.csv", "slices.csv"), strict=True):
                write_frame(frame, results / run_folder("metrics", run, external) / file)
        recompute.redo_comparison(finished, external, results)
    recompute.redo_data_tables(finished, results)
    recompute.redo_checklist(finished, results)
    recompute.redo_sets(finished, results)
    return SimpleNamespace(folder=folder, results=results, roots={"": folder / "data", "other": folder / "other"})
