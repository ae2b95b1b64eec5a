"""What was chosen of each run is listed with the Dice that it was chosen by."""

import json

import pytest

from drawn import choices_of
from lesionbench.errors import UserError
from lesionbench.report.point_table import point_table, read_choices

LABELS = {"a": "Model A", "b": "Model B"}


def test_a_row_a_run_says_what_was_chosen_and_how_good_that_was(tmp_path):
    choices = read_choices(*choices_of(tmp_path, LABELS, seeds=2))
    data = point_table(choices, LABELS).data
    assert data[["model", "label", "fold", "seed"]].to_numpy().tolist() == [
        [model, label, 0, seed] for model, label in LABELS.items() for seed in range(2)
    ]
    record = json.loads((tmp_path / "b-1.json").read_text())
    row = data.iloc[3]
    assert (row["threshold"], row["min_component_mm3"]) == (record["threshold"], record["min_component_mm3"])
    sizes = record["by_min_component_mm3"]
    assert row["dice"] == sizes["dice"][sizes["min_component_mm3"].index(row["min_component_mm3"])]
    assert row["dice_at_half"] == record["by_threshold"]["dice"][127] and row["studies"] == 3


def test_what_was_given_is_listed_beside_what_was_chosen(tmp_path):
    record = {"threshold": 0.3, "min_component_mm3": 5, "studies": ["s"]}
    curve = {"min_component_mm3": [0, 5], "dice": [0.4, 0.6]}
    (tmp_path / "a.json").write_text(json.dumps({**record, "by_min_component_mm3": curve}))
    table = point_table(read_choices([tmp_path / "a.json"], [("a", 0, 0)]), LABELS)
    assert table.data.loc[0, ["threshold", "min_component_mm3", "dice"]].tolist() == [0.3, 5, 0.6]
    assert table.shown.loc[0, ["Threshold", "Smallest component (mm³)", "Dice at 0.5"]].tolist() == ["0.300", "5", "–"]


def test_a_damaged_file_is_named(tmp_path):
    right = {"threshold": 0.3, "min_component_mm3": 5, "studies": ["s"]}
    curve = {"threshold": [0.3, 0.4], "dice": [0.5]}
    wrong = [{}, right | {"threshold": "0.3"}, right | {"by_threshold": 1}, right | {"by_threshold": curve}]
    for record in [*wrong, right | {"by_threshold": {"threshold": [0.2], "dice": [0.5]}}]:
        (tmp_path / "a.json").write_text(json.dumps(record))
        with pytest.raises(UserError, match=r"a\.json"):
            read_choices([tmp_path / "a.json"], [("a", 0, 0)])
