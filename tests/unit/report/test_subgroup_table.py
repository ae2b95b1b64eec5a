"""The table of groups has a row for each group and model, and the number of studies of each group."""

from lesionbench.evaluation.scoring import Scoring
from lesionbench.report.subgroup_table import subgroups
from scored import INVENTORY, LABELS, compared


def test_each_group_has_its_number_of_studies_and_a_row_for_each_model():
    table = subgroups(compared(), INVENTORY, Scoring(surface_tolerance_mm=5, min_lesion_mm3=7))
    shown = table.shown
    assert shown["Model"].tolist() == 7 * list(LABELS.values()) and len(table.data) == 14
    assert [name for name in shown["By"] if name] == ["Lesion volume", "Category", "Slice spacing"]
    counts = [int(count) for count in shown["Studies"] if count]
    assert len(counts) == 7 and sum(counts) == 30
    row = table.data[(table.data["group"] == "CT-2") & (table.data["model"] == "unet")].index[0]
    assert shown.loc[row, "Group"] == "CT-2" and shown.loc[row, "Studies"] == "4"
    assert shown.loc[row, "Dice ↑"] == f"{table.data.loc[row, 'dice']:.3f}"
    assert "within 5 mm" in table.notes[1] and "at least 7 mm³" in table.notes[1]
