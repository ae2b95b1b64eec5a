"""What is computed again is what the workflow has computed."""

import json

import pandas as pd
import pytest

from lesionbench.capsule.contents import read_finished, run_folder
from lesionbench.capsule.recompute import redo_comparison, redo_counts, redo_scores, redo_splits, written
from lesionbench.data.frames import read_frame


@pytest.fixture
def finished(made, tmp_path):
    """Results as a capsule holds them: masks from elsewhere are among them."""
    from lesionbench.capsule.archive import unpack

    unpack(made.capsule, tmp_path / "capsule")
    return read_finished(tmp_path / "capsule" / "results")


def test_splits_and_comparison_have_the_same_bytes(finished, tmp_path):
    redo_splits(finished, tmp_path / "again")
    for external in finished.sets:
        redo_comparison(finished, external, tmp_path / "again")
    made = list(written(tmp_path / "again"))
    assert len(made) == 3 + 2 * (1 + 8 * 4)
    for name, path in made:
        assert path.read_bytes() == (finished.folder / name).read_bytes(), name


@pytest.mark.parametrize("external", [None, "other"])
def test_scores_that_follow_from_masks_and_slices_are_those_of_the_references(finished, made, tmp_path, external):
    run = finished.runs(external)[-1]
    inside = run_folder("metrics", run, external)
    redo_counts(finished, run, external, tmp_path / "counts")
    root = made.roots[external or ""]
    references = {study: root / "masks" / f"{study}_mask.nii.gz" for study in finished.tested(run, external)}
    redo_scores(finished, run, external, references, tmp_path / "scores")
    for file in ("studies.csv", "slices.csv"):
        counts, scores = (read_frame(tmp_path / kind / inside / file) for kind in ("counts", "scores"))
        pd.testing.assert_frame_equal(counts, scores[counts.columns], check_dtype=False)
        assert (tmp_path / "scores" / inside / file).read_bytes() == (finished.folder / inside / file).read_bytes()


def test_sweeps_are_computed_again_and_rows_that_are_not_there_are_left_out(finished, tmp_path):
    path = finished.folder / "config.json"
    sweeps = {"both": {"label": "Both", "rows": ["near", "far"]}, "forged": {"label": "X", "rows": ["near", "none"]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sweeps": sweeps}))
    redo_comparison(read_finished(finished.folder), None, tmp_path / "again")
    assert read_frame(tmp_path / "again/tables/sweeps.csv")["sweep"].tolist() == ["both"] * 3
    assert read_frame(tmp_path / "again/tables/sweep_rows.csv")["model"].tolist() == ["near", "far"]
