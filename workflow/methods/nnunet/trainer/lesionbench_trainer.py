"""nnU-Net's own trainer for as many epochs as a job asks for, with a checkpoint of each that is whole or not there."""

import json
import os
from pathlib import Path

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

# On a CPU nnU-Net's commands take all cores of the machine. They load this module after that.
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class nnUNetTrainerLesionbench(nnUNetTrainer):
    """nnU-Net finds it by its name, through the environment variable nnUNet_extTrainer."""

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008, as nnU-Net calls it
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ["LESIONBENCH_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["LESIONBENCH_ITERATIONS"])
        self.num_val_iterations_per_epoch = max(1, self.num_iterations_per_epoch // 5)  # nnU-Net's share
        self.save_every = 1
        seed = int(os.environ["LESIONBENCH_SEED"])
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002, nnU-Net draws from it

    def save_checkpoint(self, filename: str) -> None:
        """Save as nnU-Net does, to another name first: a checkpoint that a kill has cut off could not be resumed."""
        partial = Path(f"{filename}.partial")
        super().save_checkpoint(str(partial))
        if partial.exists():
            partial.replace(filename)

    def on_train_end(self) -> None:
        """Leave what a run's record says of the training."""
        super().on_train_end()
        times = [
            self.logger.get_value(f"epoch_{edge}_timestamps", step=None)[: self.num_epochs] for edge in ("start", "end")
        ]
        cuda = self.device.type == "cuda"
        done = {
            "epochs": self.num_epochs,
            "training_seconds": sum(end - start for start, end in zip(*times, strict=True)),
            "peak_device_memory_bytes": torch.cuda.max_memory_allocated() if cuda else None,
            "patch_size": list(map(int, self.configuration_manager.patch_size)),
            "batch_size": int(self.batch_size),
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
        }
        Path(self.output_folder, "lesionbench.json").write_text(json.dumps(done), encoding="utf-8")

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Do nothing: the validation studies are predicted with the others (`nnUNetv2_predict`)."""
