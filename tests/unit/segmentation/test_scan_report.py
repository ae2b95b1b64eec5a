import json

import numpy as np
import pandas as pd
import pytest

from lesionbench.data.volume import Grid
from lesionbench.segmentation.measure import measure
from lesionbench.segmentation.scan_report import is_finished, write_report, write_table

MADE_BY = {"runs": {"unet": "a" * 64}, "operating_point": {"threshold": 0.5, "min_component_mm3": 0}}


def report(folder, name, made_by=MADE_BY):
    mask = np.ones((4, 4, 4), bool)
    found = measure(mask, Grid(mask.shape, np.eye(4) * 10), mask.astype(np.uint8))
    (folder / name).mkdir(parents=True)
    (folder / name / "lesion.nii.gz").touch()
    record = {
        "scan": name, "path": f"/scans/{name}", **found, "lesion_ml_lowest": 1.0, "lesion_ml_highest": 2.0,
        "members": {"unet": 1.0}, "warnings": ["a", "b"], "seconds": 1.5, "made_by": made_by,
        "files": ["lesion.nii.gz"],
    }  # fmt: skip
    write_report(folder / name, record)


def test_the_table_has_a_row_a_scan_that_was_finished(tmp_path):
    report(tmp_path, "b")
    report(tmp_path, "a")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/report.json").write_text("{")
    write_table(tmp_path)
    table = pd.read_csv(tmp_path / "scans.csv")
    assert list(table["scan"]) == ["a", "b"] and list(table["warnings"]) == ["a; b"] * 2
    assert table["share_involved"].tolist() == [1, 1] and table["threshold"].tolist() == [0.5, 0.5]


def test_results_are_finished_where_the_same_made_all_their_files(tmp_path):
    report(tmp_path, "a")
    assert is_finished(tmp_path / "a", MADE_BY)
    assert not is_finished(tmp_path / "a", MADE_BY | {"runs": {}})
    assert not is_finished(tmp_path / "b", MADE_BY)
    (tmp_path / "a/lesion.nii.gz").unlink()
    assert not is_finished(tmp_path / "a", MADE_BY)


def test_no_table_is_written_where_nothing_was_finished(tmp_path):
    write_table(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"warnings": 3}, {"made_by": 1}, {"files": ["../x"]}, {"lesion_ml": "a"}, None])
def test_a_report_that_was_damaged_is_passed_over(tmp_path, change):
    report(tmp_path, "a")
    report(tmp_path, "b")
    path = tmp_path / "a/report.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({"scan": "a"} if change is None else record | change))
    write_table(tmp_path)
    assert list(pd.read_csv(tmp_path / "scans.csv")["scan"]) == ["b"]
    assert not is_finished(tmp_path / "a", MADE_BY)
