"""Studies and slices of each subset, beside the paper's where there is one fold."""

from lesionbench.report.subset_table import slices_by_subset
from tabled import FOLD, INVENTORY


def test_slices_are_counted_by_subset_with_the_papers_beside():
    table = slices_by_subset(INVENTORY, {0: FOLD}, "coronal")
    rows = table.data.set_index("subset")
    assert rows["studies"].to_dict() == {"train": 35, "validation": 5, "test": 10, "total": 50}
    assert rows["slices"].to_dict() == {"train": 35 * 512, "validation": 5 * 512, "test": 10 * 512, "total": 25600}
    assert rows.loc["validation", "axial_slices"] == sum(range(55, 60))
    assert rows["paper_slices"].to_dict() == {"train": 1428, "validation": 212, "test": 409, "total": 2049}
    assert table.shown.iloc[3].tolist() == ["Total", "50", "25,600", "2,225", "50", "2,049"]
    assert "25,600" in table.notes[0]


def test_slices_of_every_fold_are_counted_without_the_papers():
    table = slices_by_subset(INVENTORY, {0: FOLD, 1: FOLD}, "axial")
    assert list(table.shown) == ["Fold", "Subset", "Studies", "Slices (axial)"]
    assert table.shown["Fold"].tolist() == ["0"] * 4 + ["1"] * 4
    assert not table.notes


def test_patients_are_counted_where_they_are_known():
    studies = INVENTORY.assign(patient=["p", "p", *[""] * (len(INVENTORY) - 2)])
    table = slices_by_subset(studies, {0: FOLD}, "axial", with_paper=False)
    rows = table.data.set_index("subset")
    assert list(table.shown)[:3] == ["Subset", "Patients", "Studies"]
    assert rows["patients"].to_dict() == {**rows["studies"].to_dict(), "train": 34, "total": 49}


def test_a_fold_whose_test_studies_hold_no_lesion_is_told(caplog):
    empty = INVENTORY.assign(lesion_slices=[5] * 40 + [0] * 10)
    other = FOLD.assign(subset=["test"] * 10 + ["train"] * 35 + ["validation"] * 5)
    (note,) = slices_by_subset(empty, {0: other, 1: FOLD}, "axial").notes
    assert note.startswith("The masks of all test studies of fold 1 are empty (study_0040, study_0041")
    assert note == caplog.records[0].getMessage()
