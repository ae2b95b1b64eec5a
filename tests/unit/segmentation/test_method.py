"""One job of an external method, from the studies to masks and record."""

import json
import sys
from pathlib import Path

import pytest

from lesionbench.data.nifti import write_mask, write_volume
from lesionbench.data.reading import AS_IS
from lesionbench.environment import SCRIPTS
from lesionbench.errors import UserError
from lesionbench.models.programs import Program
from lesionbench.segmentation.method import Request, run_method
from lesionbench.training.handover import HandedStudy
from tiny import make_study

# Takes the reference of the first training study for each mask, and counts its calls in the folder that survives.
COPY = """
import csv, json, os, pathlib, shutil, sys
job = json.loads(pathlib.Path(sys.argv[-1]).read_text())
rows = list(csv.DictReader(open(job["studies"])))
calls = pathlib.Path(job["work"], "calls")
calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
for row in rows:
    if row["subset"] != "train":
        path = pathlib.Path(job["output"], row["subset"], row["study"] + ".nii.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(rows[0]["mask"], path)
seen = {"path": os.environ.get("PYTHONPATH", ""), "threads": os.environ["OMP_NUM_THREADS"]}
record = {"calls": len(calls.read_text()), **seen}
pathlib.Path(job["output"], "record.json").write_text(json.dumps(record))
"""
SUBSETS = ("train", "validation", "test", "external/other")


@pytest.fixture
def studies(tmp_path):
    made = []
    for number, subset in enumerate(SUBSETS):
        ct, mask = make_study(number)
        paths = tmp_path / f"{number}.nii.gz", tmp_path / f"{number}_mask.nii.gz"
        write_volume(paths[0], ct.data, ct.affine)
        write_mask(paths[1], mask.data, mask.affine)
        made.append(HandedStudy(f"s{number}", subset, paths[0], paths[1] if number < 2 else None, AS_IS))
    return made


def run(tmp_path, studies, program=COPY, **changes):
    (tmp_path / "tool.py").write_text(program)
    command = Program(None, (sys.executable, str(tmp_path / "tool.py"), "--fast"))
    settings = {"options": {"a": 1}, "fold": 0, "seed": 3, "threads": 2, "device": "cpu", "probabilities": False}
    request = Request("models.mine", command, "digest", **settings | changes)
    parts = {study.subset for study in studies} - {"train"}
    run_method(request, studies, tmp_path / "run", {part: tmp_path / "taken" / part for part in parts})
    return json.loads((tmp_path / "run" / "run.json").read_text())


def test_a_job_leaves_the_masks_of_each_subset_and_a_record(tmp_path, studies):
    record = run(tmp_path, studies)
    taken = sorted(path.relative_to(tmp_path / "taken").as_posix() for path in (tmp_path / "taken").rglob("*.nii.gz"))
    assert taken == ["external/other/s3.nii.gz", "test/s2.nii.gz", "validation/s1.nii.gz"]
    assert record["command"][-1] == "--fast" and record["method"] is None
    assert {key: record[key] for key in ("options", "fold", "seed", "threads", "device", "program_code")} == {
        "options": {"a": 1}, "fold": 0, "seed": 3, "threads": 2, "device": {"type": "cpu"}, "program_code": "digest",
    }  # fmt: skip
    assert record["seconds"] > 0 and record["peak_host_memory_bytes"] > 1e6 and record["environment"]["python"]
    assert {name: len(hashes) for name, hashes in record["inputs_sha256"].items()} == {
        "train/s0": 2, "validation/s1": 2, "test/s2": 1, "external/other/s3": 1,
    }  # fmt: skip


def test_a_command_sees_its_threads_and_not_the_library(tmp_path, studies, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{SCRIPTS}:/own")
    record = run(tmp_path, studies)
    assert record["program"] == {"calls": 1, "path": "/own", "threads": "2"}


def test_a_further_set_is_predicted_with_what_was_learned_before(tmp_path, studies):
    run(tmp_path, studies[:3])
    assert run(tmp_path, studies)["program"]["calls"] == 2
    assert run(tmp_path, studies, seed=4)["program"]["calls"] == 1


def test_where_a_mask_is_missing_nothing_is_recorded_and_the_work_stays(tmp_path, studies):
    half = COPY.replace('!= "train"', '== "test"')
    with pytest.raises(UserError, match=r"models\.mine: .* left no mask of 1 of 1 study \(s\d\)"):
        run(tmp_path, studies, half)
    assert not (tmp_path / "run" / "run.json").exists()
    assert Path(tmp_path, "run", "program", "work", "calls").read_text() == "x"


def test_a_program_that_is_not_there_is_told_with_the_model(tmp_path, studies):
    request = Request("models.mine", Program(None, ("no-such-tool",)), "", {}, 0, 0, 1, "cpu", False)
    with pytest.raises(UserError, match=r"models\.mine: there is no program no-such-tool"):
        run_method(request, studies, tmp_path, {})
