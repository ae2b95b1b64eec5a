"""nnU-Net v2 as an external method: its own commands on the studies of one job (docs/methods.md).

It needs nothing but the standard library, nibabel and numpy; nnU-Net runs in processes of its own.
"""

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

import nibabel as nib
import numpy as np

DATASET = "Dataset001_lesion"
TRAINER = "nnUNetTrainerLesionbench"


@dataclass(frozen=True)
class Case:
    """A study under a name of nnU-Net's: those of studies may hold any character, and two subsets may share one."""

    name: str
    study: str
    subset: str
    ct: str
    mask: str  # "" where a method is given none


@dataclass(frozen=True)
class Job:
    """What a job.json asks for, and where nnU-Net keeps its files below `work`."""

    contents: dict[str, Any]
    cases: list[Case]

    @property
    def work(self) -> Path:
        return Path(self.contents["work"])

    @property
    def output(self) -> Path:
        return Path(self.contents["output"])

    @property
    def preprocessed(self) -> Path:
        return self.work / "preprocessed" / DATASET

    @property
    def trained(self) -> Path:
        """The folder of nnU-Net's training."""
        configuration = self.contents["options"]["configuration"]
        return self.work / "results" / DATASET / f"{TRAINER}__nnUNetPlans__{configuration}" / "fold_0"

    def of(self, *subsets: str) -> list[Case]:
        return [case for case in self.cases if case.subset in subsets]


def main(path: str) -> None:
    """Train, or go on with a training, predict, and leave masks and a record."""
    job = read_job(path)
    finished = job.trained / "lesionbench.json"
    if not finished.is_file():
        if not (job.preprocessed / "splits_final.json").is_file():  # written last
            preprocess(job)
        call(
            job, "train", "1", job.contents["options"]["configuration"], "0", "-tr", TRAINER,
            "-device", job.contents["device"], "--c",
        )  # fmt: skip
    shutil.rmtree(job.preprocessed.parent, ignore_errors=True)  # gigabytes that only a training reads
    predict(job)
    record = {
        **json.loads(finished.read_text(encoding="utf-8")),
        "configuration": job.contents["options"]["configuration"],
        "versions": {name: metadata.version(name) for name in ("nnunetv2", "torch", "numpy")},
    }
    (job.output / "record.json").write_text(json.dumps(record, indent=2), encoding="utf-8")


def read_job(path: str) -> Job:
    contents = json.loads(Path(path).read_text(encoding="utf-8"))
    with Path(contents["studies"]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cases = [
        Case(f"case{number:05}", row["study"], row["subset"], row["ct"], row["mask"]) for number, row in enumerate(rows)
    ]
    return Job(contents, cases)


def preprocess(job: Job) -> None:
    """Lay out nnU-Net's raw folder by links, let it plan and preprocess, and give it our split as its only fold."""
    raw = job.work / "raw" / DATASET
    for folder in (raw, job.preprocessed):
        shutil.rmtree(folder, ignore_errors=True)  # what a kill has left
    cases = job.of("train", "validation")
    link({raw / "imagesTr" / f"{case.name}_0000.nii.gz": case.ct for case in cases})
    link({raw / "labelsTr" / f"{case.name}.nii.gz": case.mask for case in cases})
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIO",  # reads what Lesionbench reads; SimpleITK refuses skewed grids
    }
    (raw / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    threads, configuration = str(job.contents["threads"]), job.contents["options"]["configuration"]
    call(job, "plan_and_preprocess", "-d", "1", "-c", configuration, "-np", threads, "-npfp", threads, "--no_pbar")
    split = {key: [case.name for case in job.of(subset)] for key, subset in (("train", "train"), ("val", "validation"))}
    (job.preprocessed / "splits_final.json").write_text(json.dumps([split]), encoding="utf-8")


def predict(job: Job) -> None:
    """Predict all studies but the training's, those first of which a killed job has left no whole mask."""
    images, predicted = job.work / "images", job.output / "nnunet"
    cases = [case for case in job.cases if case.subset != "train"]
    shutil.rmtree(images, ignore_errors=True)
    predicted.mkdir(parents=True, exist_ok=True)
    broken = [path for path in predicted.glob("*.nii.gz") if not is_whole(path)]
    for path in broken:
        path.unlink()
    due = sum(not (predicted / f"{case.name}.nii.gz").is_file() for case in cases)
    link({images / f"{case.name}_0000.nii.gz": case.ct for case in cases})
    options, workers = job.contents["options"], str(min(3, job.contents["threads"]))
    started = perf_counter()
    call(
        job, "predict", "-i", str(images), "-o", str(predicted), "-d", "1", "-c", options["configuration"],
        "-tr", TRAINER, "-f", "0", "-device", job.contents["device"], "-npp", workers, "-nps", workers,
        "--continue_prediction", "--disable_progress_bar",
        *([] if options["mirroring"] else ["--disable_tta"]),
        *(["--save_probabilities"] if job.contents["probabilities"] else []),
    )  # fmt: skip
    for subset in {case.subset for case in cases}:
        (job.output / subset).mkdir(parents=True, exist_ok=True)
        if due:
            write_seconds(job.output / subset / "seconds.csv", job.of(subset), (perf_counter() - started) / due)
    for case in cases:
        folder = job.output / case.subset
        shutil.copyfile(predicted / f"{case.name}.nii.gz", folder / f"{case.study}.nii.gz")
        if job.contents["probabilities"]:
            path = folder / "probabilities" / f"{case.study}.nii.gz"
            write_probabilities(predicted / f"{case.name}.npz", case.ct, path)


def write_seconds(path: Path, cases: list[Case], seconds: float) -> None:
    """Write the mean time of a study for each: nnU-Net loads its network once and predicts while it writes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study", "seconds"])
        writer.writerows([case.study, round(seconds, 4)] for case in cases)


def write_probabilities(archive: Path, ct: str, path: Path) -> None:
    """Write nnU-Net's probabilities of lesion, (class, k, j, i), as an image (i, j, k) on the CT's grid."""
    path.parent.mkdir(exist_ok=True)
    with np.load(archive) as arrays:
        lesion = arrays["probabilities"][1].astype(np.float32).transpose(2, 1, 0)
    nib.save(nib.Nifti1Image(lesion, nib.load(ct).affine), path)


def is_whole(path: Path) -> bool:
    """Say whether a packed file can be read to its end: nnU-Net writes masks in place, so a kill may cut one off."""
    try:
        with gzip.open(path) as file:
            while file.read(2**20):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True


def link(targets: dict[Path, str]) -> None:
    for path, target in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


def call(job: Job, command: str, *arguments: str) -> None:
    """Run one of nnU-Net's commands, which lie beside this interpreter, and end with its exit status if it fails."""
    threads, options = job.contents["threads"], job.contents["options"]
    # On a CPU the network needs the cores that make the batches.
    workers = max(1, threads // 4) if job.contents["device"] == "cpu" else threads
    environment = {
        "nnUNet_raw": str(job.work / "raw"),
        "nnUNet_preprocessed": str(job.work / "preprocessed"),
        "nnUNet_results": str(job.work / "results"),
        "nnUNet_extTrainer": str(Path(__file__).with_name("trainer")),
        "nnUNet_n_proc_DA": str(workers),
        "nnUNet_def_n_proc": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "LESIONBENCH_EPOCHS": str(options["epochs"]),
        "LESIONBENCH_ITERATIONS": str(options["iterations"]),
        "LESIONBENCH_SEED": str(job.contents["seed"]),
    }
    program = Path(sys.executable).with_name(f"nnUNetv2_{command}")
    done = subprocess.run([program, *arguments], env={**os.environ, **environment})
    if done.returncode:
        sys.exit(f"nnUNetv2_{command} ended with exit status {done.returncode}.")


if __name__ == "__main__":
    main(sys.argv[1])
