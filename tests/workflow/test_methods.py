"""External methods beside each other, to the table: shipped ones, and a command of a user's, killed and resumed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from checkout import TINY, copy_checkout, merged
from lesionbench.data.phantom import write_phantom
from lesionbench.data.studies import Phantom

# It "trains" once for each content of its work folder, waits after that while the file `wait` is in the working
# directory, and predicts what is denser than the option `above`.
PROGRAM = """
import csv, json, pathlib, sys, time
import nibabel, numpy

job = json.loads(pathlib.Path(sys.argv[-1]).read_text())
with open(job["studies"]) as file:
    rows = list(csv.DictReader(file))
trained = pathlib.Path(job["work"], "trained")
if not trained.exists():
    masks = [numpy.asarray(nibabel.load(row["mask"]).dataobj) for row in rows if row["mask"]]
    trained.write_text(str(sum(mask.sum() for mask in masks)))
    print("trained", flush=True)
while pathlib.Path("wait").exists():
    time.sleep(0.1)
if "fail" in job["options"]:
    sys.exit("it cannot")
for row in rows:
    if row["subset"] != "train":
        ct = nibabel.load(row["ct"])
        mask = (numpy.asarray(ct.dataobj) > job["options"]["above"]).astype(numpy.uint8)
        path = pathlib.Path(job["output"], row["subset"], row["study"] + ".nii.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(mask, ct.affine), path)
pathlib.Path(job["output"], "record.json").write_text(json.dumps({"began": trained.stat().st_mtime_ns}))
"""
CONFIG = {
    "dataset": {"phantom": None, "root": "data", "ct": "ct/{study}.nii.gz", "mask": "masks/{study}.nii.gz"},
    "models": {
        "empty": {"label": "Nothing", "method": "empty"},
        "threshold": {"method": "threshold"},
        "own": {"command": "python own.py", "options": {"above": -500}},
    },
    "compare": ["empty", "threshold", "own"],
    "pathvars": {"results": "results/methods", "logs": "logs/methods"},
}
OTHER = {"external": {"other": {"root": "other", "ct": "ct/{study}.nii.gz", "mask": "masks/{study}.nii.gz"}}}
RUN = "results/methods/models/own/fold-0/seed-0"


def write_data(root, studies, seed):
    """Write a phantom's annotated studies as `ct/` and `masks/`."""
    phantom = Phantom(studies=studies, annotated=studies, category="CT-3", size=32, slices=(6, 8), seed=seed)
    write_phantom(root / "phantom", phantom)
    for kind, pattern, ending in (("ct", "studies/*/*.nii.gz", ""), ("masks", "masks/*.nii.gz", "_mask")):
        (root / kind).mkdir()
        for path in (root / "phantom").glob(pattern):
            path.rename(root / kind / f"s{seed}{path.name.replace(ending, '')}")
    shutil.rmtree(root / "phantom")


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    """A checkout in which three external methods have run to the comparison."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("methods"))
    write_data(checkout.folder / "data", 5, seed=0)
    write_data(checkout.folder / "other", 3, seed=1)
    (checkout.folder / "own.py").write_text(PROGRAM)
    checkout.snakemake(config=CONFIG)
    return checkout


def record(checkout):
    return json.loads((checkout.folder / RUN / "run.json").read_text())


def test_methods_are_compared_as_other_models_are(checkout):
    results = checkout.folder / "results" / "methods"
    comparison = pd.read_csv(results / "tables" / "comparison.csv").set_index("model")["mean_dice"]
    assert list(comparison.index) == ["empty", "threshold", "own"]
    assert comparison["empty"] == 0 and comparison["threshold"] > comparison["own"] > 0
    masks = {path.relative_to(results).parts[0] for path in results.rglob("own/fold-0/seed-0/*.nii.gz")}
    assert masks == {"predictions", "validation"}
    assert {path.stem for path in (results / "figures" / "predictions").iterdir()} == {"empty", "threshold", "own"}
    assert not (results / "figures" / "dice_by_cost.png").exists()


def test_a_method_leaves_time_memory_and_what_made_it(checkout):
    cost = pd.read_csv(checkout.folder / "results" / "methods" / "tables" / "cost.csv").set_index("model")
    assert (cost[["training_seconds", "host_memory_bytes"]] > 0).all(axis=None)
    assert cost[["parameters", "gmacs"]].isna().all(axis=None) and cost.loc["threshold", "seconds_per_study"] > 0
    made = record(checkout)
    assert made["command"] == ["python", "own.py"] and made["options"] == {"above": -500}
    assert made["device"] == {"type": "cpu"}
    page = (checkout.folder / "results" / "methods" / "summary.html").read_text()
    assert "python own.py" in page and '{"above": -500}' in page.replace("&#34;", '"')


def test_no_mask_of_a_study_to_predict_is_given(checkout):
    table = pd.read_csv(checkout.folder / RUN / "program" / "studies.csv")
    assert table.groupby("subset")["mask"].agg(lambda masks: masks.notna().all()).to_dict() == {
        "train": True, "validation": True, "test": False,
    }  # fmt: skip


FOLLOWING = {"run_method", "evaluate", "compare", "compare_cost", "summary"}
FOLLOWING |= {"plot", "plot_predictions", "plot_model_grid", "view_study"}


def test_a_change_of_a_program_runs_it_again_and_no_other(checkout):
    jobs = checkout.would_run(**merged(CONFIG, {"models": {"own": {"options": {"above": -400}}}}))
    assert set(jobs) == FOLLOWING and jobs["run_method"] == jobs["evaluate"] == 1
    program = checkout.folder / "own.py"
    program.write_text(PROGRAM + "# A comment.\n")
    assert checkout.would_run(**CONFIG) == {}
    program.write_text(PROGRAM.replace("> job", ">= job"))
    assert set(checkout.would_run(**CONFIG)) == FOLLOWING
    program.write_text(PROGRAM)


def test_only_a_method_that_draws_at_random_runs_once_a_seed(checkout):
    assert checkout.would_run(**CONFIG, seeds=[0, 1])["run_method"] == 1


def test_a_changed_mask_runs_the_methods_again_only_if_they_learn_from_it(checkout):
    split = pd.read_csv(checkout.folder / "results" / "methods" / "splits" / "fold-0.csv").set_index("subset")["study"]
    for subset, expected in (("train", 3), ("test", 0)):
        path = checkout.folder / "data" / "masks" / f"{split.loc[[subset]].iloc[0]}.nii.gz"
        before = path.read_bytes()
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), path)
        jobs = checkout.would_run(**CONFIG)
        path.write_bytes(before)
        assert jobs.get("run_method", 0) == expected and jobs["inventory"] == 1


def test_a_further_set_is_predicted_and_nothing_trained_again(checkout):
    before = record(checkout)["program"]["began"]
    jobs = checkout.would_run(**merged(CONFIG, OTHER))
    assert jobs["run_method"] == 3
    folder = "results/methods/external/other"
    output = checkout.snakemake(f"{folder}/predictions/own/fold-0/seed-0", config=merged(CONFIG, OTHER))
    assert record(checkout)["program"]["began"] == before and "INFO trained" not in output
    assert len(list((checkout.folder / folder / "predictions/own/fold-0/seed-0").glob("*.nii.gz"))) == 3


def test_a_killed_job_goes_on_with_what_its_program_has_left(checkout):
    config = merged(CONFIG, {"models": {"own": {"options": {"above": -300}}}})
    wait = checkout.folder / "wait"
    wait.touch()
    (checkout.folder / "killed.yaml").write_text(yaml.safe_dump(merged(TINY, config)))
    command = [sys.executable, "-m", "snakemake", "--configfile", "killed.yaml", "--cores", "1", f"{RUN}/run.json"]
    command = [*command[:5], "--cores", "1", "--", f"{RUN}/run.json"]
    with subprocess.Popen(command, cwd=checkout.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = time.monotonic() + 120
        log = checkout.folder / "logs" / "methods" / "run_method" / "own" / "fold-0" / "seed-0.log"
        while "INFO trained" not in (log.read_text() if log.exists() else ""):
            assert process.poll() is None and time.monotonic() < deadline, process.stdout.read().decode()
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        job = [child for child in children if any(".run_method.py" in part for part in child.cmdline())][-1]
        (program,) = [child for child in children if "own.py" in child.cmdline()]
        os.kill(job.pid, signal.SIGKILL)
        process.communicate(timeout=120)
    assert process.returncode != 0 and program.is_running()
    wait.unlink()
    checkout.snakemake(f"{RUN}/run.json", config=config)
    assert "INFO trained" not in log.read_text() and not program.is_running()
    assert record(checkout)["options"] == {"above": -300}


def test_a_program_that_fails_is_shown_with_what_it_said(checkout):
    config = merged(CONFIG, {"models": {"own": {"options": {"fail": True}}}})
    output = checkout.snakemake(f"{RUN}/run.json", config=config, check=False)
    assert "models.own: the program ended with exit status 1. The last lines that it printed:" in output
    assert "  it cannot" in output and "Traceback" not in output


def test_a_program_or_environment_that_is_not_there_stops_before_anything_runs(checkout):
    for entry, said in (
        ({"command": "no-such-tool"}, "models.other: there is no program no-such-tool to call"),
        ({"method": "nnunet"}, "models.other: the method nnunet has an environment of its own"),
    ):
        config = {"models": {"other": entry}, "compare": ["other"], "pathvars": {"results": "results/absent"}}
        output = checkout.snakemake(config=merged(CONFIG, config), check=False)
        assert said in output and not (checkout.folder / "results" / "absent").exists()
