"""Beside other tools, on the same studies: preprocessing, an epoch of training, and scoring.

nnU-Net runs in the environment that `make method-nnunet` makes, panoptica in one of its own (`python -m venv
.venv-panoptica` and `pip install panoptica nibabel`); a tool that is not there is left out.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.imaging import cut_to_file
from benchmarks.measure import Row, Setting, alternate, ratios
from benchmarks.peer import BATCH, NAME, in_turn
from benchmarks.recipe import REPOSITORY, SETTINGS, cut, preprocessing, trained, write_moved, write_study
from benchmarks.training import run_quietly
from lesionbench.data.scans import read_header
from lesionbench.data.slices import save_stack
from lesionbench.data.studies import DataSet, Study, find_studies
from lesionbench.evaluation.metrics import evaluate
from lesionbench.evaluation.scoring import Scoring
from lesionbench.training.learner import FoldData

PROGRAM = Path(__file__).with_name("peer.py")
STUDIES = os.environ.get("LESIONBENCH_STUDIES")  # a data set in MosMedData's layout; else phantoms of its size
MODEL = "unet_mobilenet_v2"


def peers(setting: Setting) -> Iterator[Row]:
    """Each task by this project and by each other tool in turn, on one core; seconds of the others in times of ours."""
    folder = setting.folder
    studies = lay_out(folder)
    size = f"{len(studies) - 1} studies of {'×'.join(map(str, read_header(studies[0].mask).shape))}"
    environments = {"nnunet": ".venv-nnunet", "panoptica": ".venv-panoptica"}
    tasks: dict[str, tuple[str, Callable[[], float], Sequence[str]]] = {
        "cut": ("preprocessing", partial(cut_all, folder, studies), ("nnunet", "monai")),
        "score": ("scoring", partial(score_all, folder, studies), ("nnunet", "monai", "panoptica")),
        "train": ("an epoch, MobileNetV2", partial(train_epoch, setting, studies), ("nnunet",)),
    }
    for task, (what, ours, others) in tasks.items():
        contenders: dict[str, Callable[[], float]] = {"lesionbench": ours}
        for other in others:
            python = REPOSITORY / environments.get(other, "") / "bin" / "python"
            if other not in environments:
                python = Path(sys.executable)
            if python.exists():
                contenders[other] = partial(call, python, f"{task}_{other}", folder)
        seconds = alternate(contenders, setting.repetitions)
        for other in list(contenders)[1:]:
            took, theirs = (float(np.median(seconds[name])) for name in ("lesionbench", other))
            yield Row(
                f"peers/{task} : {other}",
                f"{what}: {other}'s seconds in those of ours; {size}",
                "×",
                ratios(seconds, other, "lesionbench"),
                at_least=1,
                note=f"{took:.2f} s against {theirs:.2f} s",
                seconds=seconds,
            )


def lay_out(folder: Path) -> list[Study]:
    """Write what nnU-Net reads, and predictions."""
    studies = find_studies(DataSet(STUDIES)) if STUDIES else write_study(folder / "phantom", studies=13)
    studies = [study for study in studies if study.ct and study.mask]
    raw = folder / "raw" / NAME
    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True)
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(studies),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIO",
    }
    (raw / "dataset.json").write_text(json.dumps(description))
    for study in studies:
        assert study.ct and study.mask
        (raw / "imagesTr" / f"{study.name}_0000.nii.gz").symlink_to(study.ct.resolve())
        (raw / "labelsTr" / f"{study.name}.nii.gz").symlink_to(study.mask.resolve())
    write_moved(studies, folder / "predictions")
    return studies


def call(python: Path, task: str, folder: Path) -> float:
    """Run a task of `peer` and return the seconds that it says."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, "-P", PROGRAM, task, folder], env=environment, cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{task} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    seconds: float = json.loads(done.stdout.splitlines()[-1])["seconds"]
    return seconds


def cut_all(folder: Path, studies: Sequence[Study]) -> float:
    return in_turn(lambda study: cut_to_file(study, "axial", folder / "slices.npz"), studies)


def score_all(folder: Path, studies: Sequence[Study]) -> float:
    """All scores of the rule `evaluate`: volumes, overlap, surfaces, lesions, and those of each slice."""
    scoring = Scoring(**SETTINGS["evaluation"])
    return in_turn(lambda study: evaluate({study.name: study.mask}, folder / "predictions", "axial", scoring), studies)


def train_epoch(setting: Setting, studies: Sequence[Study]) -> float:
    """The second of two epochs of `train`, with strong augmentation, since nnU-Net always augments.

    It holds a validation, here of a single slice, and the writing of the first epoch's state.
    """
    torch.set_num_threads(1)
    stacks, single = setting.folder / "stacks", setting.folder / "validation" / "one.npz"
    if not stacks.is_dir():
        cuts = {study.name: cut(study, "axial") for study in studies}
        for name, stack in cuts.items():
            save_stack(stack, stacks / f"{name}.npz")
        marked = next(stack for stack in cuts.values() if stack.mask is not None and stack.mask.any())
        where = int(np.argmax(marked.mask.any(axis=(1, 2))))
        save_stack(replace(marked, image=marked.image[[where]], mask=marked.mask[[where]]), single)
        shape = marked.image.shape
        count = sum(len(stack.image) for stack in cuts.values())
        wanted = {"size": shape[1:], "slices": count, "threads": 1}
        (setting.folder / "training.json").write_text(json.dumps(wanted))
    files = {path.stem: path for path in sorted(stacks.iterdir())}
    row = trained(MODEL)
    strong = replace(row, recipe=replace(row.recipe, augmentation="strong", batch_size=BATCH))
    times: list[float] = []
    with TemporaryDirectory(dir=setting.folder) as run:
        data = FoldData(files, {"one": single}, preprocessing("axial"))
        run_quietly(strong, setting.device, 2, data, Path(run), lambda: times.append(time.perf_counter()))
    return times[1] - times[0]
