"""The studies and slices of each subset: the paper's Table 3.1."""

import logging
from collections.abc import Mapping

import pandas as pd

from lesionbench.report.tables import Table, format_number
from lesionbench.words import first_few

SUBSET_TITLES = {"train": "Train", "validation": "Validation", "test": "Test"}
PAPER_SLICES = {"train": (35, 1428), "validation": (5, 212), "test": (10, 409)}  # Table 3.1
PAPER_PLANE = (
    "The paper says that its slices are coronal, but its 2,049 slices are the axial ones of the 50 annotated studies. "
    "Coronally they would be 25,600."
)

logger = logging.getLogger(__name__)


def slices_by_subset(
    studies: pd.DataFrame, folds: Mapping[int, pd.DataFrame], plane: str, with_paper: bool = True
) -> Table:
    """Return the patients, if they are known, studies and slices of each subset: the paper's Table 3.1, for each fold.

    `studies` has the columns study, axial_slices, coronal_slices, sagittal_slices, lesion_slices and perhaps patient;
    `folds` holds a frame (study, subset) by the fold's number. The paper's counts stand beside the first fold's where
    there is no other. A note and a warning name the test studies of a fold where none holds lesion.
    """
    blocks, notes = [], []
    for number, fold in folds.items():
        rows = fold.merge(studies, on="study", validate="one_to_one")
        if "patient" in rows:
            rows["patient"] = rows["patient"].where(rows["patient"] != "", rows["study"])
        patients = {"patients": ("patient", "nunique")} if "patient" in rows else {}
        counts = rows.groupby("subset").agg(
            **patients,
            studies=("study", "size"),
            slices=(f"{plane}_slices", "sum"),
            axial_slices=("axial_slices", "sum"),
        )
        counts = counts.reindex(list(SUBSET_TITLES), fill_value=0)
        counts.insert(0, "fold", number)
        if with_paper and len(folds) == 1:
            counts[["paper_studies", "paper_slices"]] = [PAPER_SLICES[subset] for subset in SUBSET_TITLES]
        counts.loc["total"] = counts.sum().where(counts.columns != "fold", number)
        blocks.append(counts.rename_axis("subset").reset_index())
        tested = rows[rows["subset"] == "test"]
        if not tested["lesion_slices"].any():
            notes.append(
                f"The masks of all test studies of fold {number} are empty ({first_few(tested['study'].tolist())}): "
                "their Dice is undefined."
            )
    for note in notes:
        logger.warning(note)
    data = pd.concat(blocks, ignore_index=True).astype({"axial_slices": int, "slices": int})
    return Table(
        "Studies and slices by subset",
        data,
        _show_subsets(data, plane, many=len(folds) > 1),
        (*notes, PAPER_PLANE) if "paper_slices" in data else tuple(notes),
        text_columns=2 if len(folds) > 1 else 1,
    )


def _show_subsets(data: pd.DataFrame, plane: str, many: bool) -> pd.DataFrame:
    headers = {
        **({"fold": "Fold"} if many else {}),
        "subset": "Subset",
        "patients": "Patients",
        "studies": "Studies",
        "slices": f"Slices ({plane})",
        **({"axial_slices": "Slices (axial)"} if plane != "axial" else {}),
        "paper_studies": "Studies, paper",
        "paper_slices": "Slices, paper",
    }
    shown = data[[column for column in headers if column in data]].rename(columns=headers)
    names = {**SUBSET_TITLES, "total": "Total"}
    for header, column in shown.items():
        shown[header] = column.map(names if header == "Subset" else lambda count: format_number(count, 0))
    return shown
