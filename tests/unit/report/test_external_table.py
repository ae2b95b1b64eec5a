import pandas as pd

from lesionbench.evaluation.transfer import COLUMNS
from lesionbench.report.external_table import external_table

SETS = pd.DataFrame(
    [
        ["a", "Model A", "the data set", 10, 10, 0.6, 0.5, 0.7, None, None, None],
        ["a", "Model A", "Other {hospital}", 7, 6, 0.4, 0.2, 0.6, -0.2, -0.35, -0.05],
    ],
    columns=COLUMNS,
).astype({"change": float, "change_low": float, "change_high": float})


def test_each_set_stands_beside_the_data_set_with_the_change_and_its_sign():
    table = external_table(SETS)
    own, other = table.shown.to_dict("records")
    assert (own["Set"], own["Change"]) == ("the data set", "–")
    cells = [other[column] for column in ("Set", "Studies", "Mean Dice", "Change")]
    assert cells == ["Other {hospital}", "7", "0.400", "−0.200"]
    assert other["Change, 95\u00a0% interval"].startswith("−0.35")
    assert "Welch" in table.notes[0]
