"""Preprocess, feed or score studies as another tool does; print the seconds as JSON: `python peer.py TASK FOLDER`.

Run by `benchmarks.peers` in each tool's own environment, so it imports nothing of this project. FOLDER holds nnU-Net's
raw/Dataset001_lesion with imagesTr and labelsTr, and predictions, laid out as labelsTr. The seconds are those of the
work alone, less imports and a first study.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

NAME = "Dataset001_lesion"
TOLERANCE_MM = 3
BATCH = 8


def in_turn(function: Callable[..., object], items: Iterable[Any]) -> float:
    """Call a function on each item; return the seconds of all but the first, which warms up."""
    first, *rest = items
    function(first)
    started = time.perf_counter()
    for item in rest:
        function(item)
    return time.perf_counter() - started


def cases(folder: Path) -> list[tuple[Path, Path, Path]]:
    """Return the CT, the reference and the prediction of each study."""
    references = sorted((folder / "raw" / NAME / "labelsTr").iterdir())
    images = folder / "raw" / NAME / "imagesTr"
    return [
        (images / path.name.replace(".nii.gz", "_0000.nii.gz"), path, folder / "predictions" / path.name)
        for path in references
    ]


def score_nnunet(folder: Path) -> float:
    """Dice, IoU and counts, as `nnUNetv2_evaluate_folder` takes them: no surfaces, no lesions."""
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIO

    return in_turn(lambda case: compute_metrics(str(case[1]), str(case[2]), NibabelIO(), [1]), cases(folder))


def score_monai(folder: Path) -> float:
    """Dice, 95th percentile of the Hausdorff distance, mean surface distance and surface Dice, in millimetres."""
    import nibabel as nib
    import numpy as np
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    def score(case: tuple[Path, Path, Path]) -> None:
        images = [nib.load(path) for path in case[1:]]
        reference, prediction = (torch.from_numpy(np.asarray(image.dataobj) > 0)[None, None] for image in images)
        spacing = [float(size) for size in images[0].header.get_zooms()]
        compute_dice(prediction, reference)
        compute_hausdorff_distance(prediction, reference, include_background=True, percentile=95, spacing=spacing)
        compute_average_surface_distance(
            prediction, reference, include_background=True, symmetric=True, spacing=spacing
        )
        compute_surface_dice(prediction, reference, [TOLERANCE_MM], include_background=True, spacing=spacing)

    return in_turn(score, cases(folder))


def score_panoptica(folder: Path) -> float:
    """Lesions found and matched, with Dice and mean surface distance of each pair, by panoptica's defaults."""
    import nibabel as nib
    import numpy as np
    from panoptica import (
        ConnectedComponentsInstanceApproximator,
        InputType,
        NaiveThresholdMatching,
        Panoptica_Evaluator,
    )

    evaluator = Panoptica_Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(),
        instance_matcher=NaiveThresholdMatching(),
        verbose=False,
    )

    def score(case: tuple[Path, Path, Path]) -> None:
        reference, prediction = ((np.asarray(nib.load(path).dataobj) > 0).astype(np.uint8) for path in case[1:])
        evaluator.evaluate(prediction, reference)

    return in_turn(score, cases(folder))


def cut_monai(folder: Path) -> float:
    """Read, orient and scale, as a cache of MONAI's does with each study before a training."""
    import torch
    from monai.transforms import (
        Compose,
        EnsureChannelFirstd,
        EnsureTyped,
        LoadImaged,
        Orientationd,
        ScaleIntensityRanged,
    )

    keys = ("image", "mask")
    transform = Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            Orientationd(keys, axcodes="RAS", labels=None),
            ScaleIntensityRanged("image", a_min=-1000, a_max=1000, b_min=-1, b_max=1, clip=True),
            EnsureTyped(keys, dtype=torch.float32, track_meta=False),
        ]
    )
    return in_turn(transform, [{"image": str(ct), "mask": str(mask)} for ct, mask, _ in cases(folder)])


def plan(folder: Path) -> Path:
    """Let nnU-Net look at the studies and plan; return its folder of preprocessed data."""
    os.environ |= {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    os.environ |= {"nnUNet_n_proc_DA": "1", "nnUNet_compile": "false"}
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments

    extract_fingerprints([1], num_processes=1, verbose=False, show_progress_bar=False)
    plan_experiments([1])
    return folder / "preprocessed" / NAME


def cut_nnunet(folder: Path) -> float:
    """Crop, resample and normalise each study for its 2d configuration, and write it, as its preprocessing does."""
    preprocessed = plan(folder)
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(str(preprocessed / "nnUNetPlans.json"))
    configuration = plans.get_configuration("2d")
    output = preprocessed / configuration.data_identifier
    output.mkdir(exist_ok=True)
    description = json.loads((folder / "raw" / NAME / "dataset.json").read_text())
    preprocessor = DefaultPreprocessor(verbose=False)

    def cut(case: tuple[Path, Path, Path]) -> None:
        name = case[1].name.removesuffix(".nii.gz")
        preprocessor.run_case_save(str(output / name), [str(case[0])], str(case[1]), plans, configuration, description)

    return in_turn(cut, cases(folder))


def train_nnunet(folder: Path) -> float:
    """An epoch of its 2d training over as many slices as there are, by the network, batch and size that we train with.

    Its own augmentation, sampling and loss; one process makes the batches.
    """
    preprocessed = plan(folder)
    import segmentation_models_pytorch as smp
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import preprocess_dataset
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    preprocess_dataset(1, configurations=["2d"], num_processes=[1], show_progress_bar=False)
    wanted = json.loads((folder / "training.json").read_text())
    plans = json.loads((preprocessed / "nnUNetPlans.json").read_text())
    plans["configurations"]["2d"] |= {"batch_size": BATCH, "patch_size": wanted["size"]}
    names = sorted(path.name.removesuffix(".nii.gz") for path in (folder / "raw" / NAME / "labelsTr").iterdir())
    split = [{"train": names[1:], "val": names[:1]}]
    (preprocessed / "splits_final.json").write_text(json.dumps(split))

    class Trainer(nnUNetTrainer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.enable_deep_supervision = False
            self.num_iterations_per_epoch = wanted["slices"] // BATCH

        @staticmethod
        def build_network_architecture(*arguments: Any, **options: Any) -> torch.nn.Module:
            return smp.Unet("mobilenet_v2", encoder_weights=None, in_channels=1, classes=2)

        def set_deep_supervision_enabled(self, enabled: bool) -> None:
            pass

    torch.set_num_threads(wanted["threads"])
    description = json.loads((folder / "raw" / NAME / "dataset.json").read_text())
    trainer = Trainer(plans, "2d", 0, description, device=torch.device("cpu"))
    trainer.on_train_start()

    def step(_: int) -> None:
        trainer.train_step(next(trainer.dataloader_train))

    trainer.on_train_epoch_start()
    seconds = in_turn(step, range(trainer.num_iterations_per_epoch + 1))
    trainer.on_train_end()
    return seconds


TASKS = {
    task.__name__: task for task in (score_nnunet, score_monai, score_panoptica, cut_monai, cut_nnunet, train_nnunet)
}

if __name__ == "__main__":
    seconds = TASKS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"seconds": seconds}))
