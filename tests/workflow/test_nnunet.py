"""nnU-Net through its own commands on a phantom: killed in its training, resumed, to the comparison table.

It needs .venv-nnunet (`make method-nnunet`).
"""

import json
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

CONFIG = {
    "dataset": {"phantom": {"studies": 5, "annotated": 5, "category": "CT-3", "size": 32, "slices": [8, 8]}},
    "models": {
        "nnunet": {"label": "nnU-Net", "method": "nnunet", "options": {"epochs": 3, "iterations": 2}},
        "empty": {"method": "empty"},
    },
    "compare": ["nnunet", "empty"],
    "evaluation": {"probabilities": True},
    "pathvars": {"results": "results/nnunet", "logs": "logs/nnunet"},
}
RUN = "results/nnunet/models/nnunet/fold-0/seed-0"


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    """A checkout in which nnU-Net's training has been killed after its first epoch."""
    environment = repository / ".venv-nnunet"
    if not (environment / "ready").is_file():
        pytest.skip(f"{environment} is not here: make method-nnunet")
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("nnunet"))
    (checkout.folder / ".venv-nnunet").symlink_to(environment)
    (checkout.folder / "killed.yaml").write_text(yaml.safe_dump(merged(TINY, CONFIG)))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--configfile",
        "killed.yaml",
        "--cores",
        "2",
        "--",
        f"{RUN}/run.json",
    ]
    log = checkout.folder / "logs" / "nnunet" / "run_method" / "nnunet" / "fold-0" / "seed-0.log"
    with subprocess.Popen(command, cwd=checkout.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = time.monotonic() + 600
        while ": Epoch 1" not in (log.read_text() if log.exists() else ""):
            assert process.poll() is None and time.monotonic() < deadline, process.stdout.read().decode()[-4000:]
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        for child in children[::-1]:
            if "nnUNetv2_train" in " ".join(child.cmdline()) or ".run_method.py" in " ".join(child.cmdline()):
                child.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
    assert process.returncode != 0 and not (checkout.folder / RUN / "run.json").exists()
    return checkout


def test_a_killed_training_is_resumed_to_the_comparison(checkout):
    checkout.snakemake("results/nnunet/tables/comparison.csv", "results/nnunet/tables/cost.csv", config=CONFIG)
    log = (checkout.folder / "logs/nnunet/run_method/nnunet/fold-0/seed-0.log").read_text()
    assert ": Epoch 2" in log and ": Epoch 0" not in log and "Fingerprint extraction" not in log
    comparison = pd.read_csv(checkout.folder / "results/nnunet/tables/comparison.csv")
    assert comparison["label"].tolist() == ["nnU-Net", "empty"] and comparison["mean_dice"].between(0, 1).all()
    cost = pd.read_csv(checkout.folder / "results/nnunet/tables/cost.csv").set_index("model").loc["nnunet"]
    assert cost["epochs"] == 3 and cost["training_seconds"] > 0 and cost["seconds_per_study"] > 0

    record = json.loads((checkout.folder / RUN / "run.json").read_text())
    assert record["program"]["versions"]["nnunetv2"] == "2.8.1" and record["program"]["epochs"] == 3
    for part in ("predictions", "validation"):
        folder = checkout.folder / "results" / "nnunet" / part / "nnunet" / "fold-0" / "seed-0"
        for path in folder.glob("*.nii.gz"):
            mask, lesion = nib.load(path), nib.load(folder / "probabilities" / path.name)
            assert lesion.get_data_dtype() == np.uint8 and np.allclose(lesion.affine, mask.affine)
            # nnU-Net's mask is where lesion is likelier than not; half a level is lost in rounding.
            apart = np.abs(lesion.get_fdata() - 0.5) > 0.01
            assert ((np.asarray(mask.dataobj) == 1) == (lesion.get_fdata() > 0.5))[apart].all() and apart.any()
