"""Train one model on one fold with one seed: the loop, from the slices to the record."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lesionbench.errors import UserError
from lesionbench.files import sha256
from lesionbench.models.networks import build_model, model_stride, parameter_count
from lesionbench.training.augmentation import augment
from lesionbench.training.batches import batches, generator, load_slices
from lesionbench.training.checkpoint import cpu_copy, load_state, remove_state, state_writer, stop_on_signal
from lesionbench.training.device import autocast, describe, explain_out_of_memory, hold_device, place, uses_bfloat16
from lesionbench.training.early_stopping import validate
from lesionbench.training.loss import find_loss
from lesionbench.training.record import write_run

STATE = "training-state.pt"

NOT_FINITE = "Lower training.learning_rate, or set training.precision to float32."

logger = logging.getLogger(__name__)


def train(
    train_stacks: Sequence[str | Path],
    validation_stacks: Sequence[str | Path],
    folder: str | Path,
    *,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    encoder_weights: str | Path | None = None,
    fold: int = 0,
    seed: int = 0,
    code: str = "",
    threads: int | None = None,
) -> None:
    """Train on slices (npz files) and write weights.safetensors, history.csv and run.json to `folder`.

    `model`, `training` and `preprocessing` are the resolved entries of the configuration, `code` is the digest of the
    code. The recipe is the paper's (chapter 5): Adam, Dice loss, a stop after `patience` epochs without a lower
    validation loss; the best epoch's weights are kept.

    After each epoch the whole state is written to training-state.pt, and a training with the same arguments goes on
    from there. On the CPU, with a given number of `threads`, the same arguments give the same bytes of weights and the
    same losses, however often the training was killed.

    Raises
    ------
    UserError
        where the device is not there or its memory is too small, a study has no mask or a loss is not finite.
    """
    folder = Path(folder)
    state_path = folder / STATE
    recipe = {
        "model": dict(model),
        "training": dict(training),
        "preprocessing": dict(preprocessing),
        "fold": fold,
        "seed": seed,
        "code": code,
        "encoder_weights_sha256": sha256(encoder_weights) if encoder_weights else None,
        "inputs_sha256": {
            "train": {Path(path).stem: sha256(path) for path in train_stacks},
            "validation": {Path(path).stem: sha256(path) for path in validation_stacks},
        },
    }
    batch_size, limit, stride = training["batch_size"], training["resident_limit_gb"] * 1e9, model_stride(model)
    remedy = f"Lower training.batch_size (now {batch_size}), or training.resident_limit_gb if the slices take too much."
    if threads:
        torch.set_num_threads(threads)

    with hold_device(training["device"]) as device, explain_out_of_memory(device, remedy):
        train_set = load_slices(train_stacks, stride, preprocessing, device, limit)
        validation_set = load_slices(validation_stacks, stride, preprocessing, device, limit - train_set.nbytes)
        torch.manual_seed(seed)
        network = place(build_model(model, encoder_weights), device)
        forward = torch.compile(network) if training["compile"] else network
        optimizer = torch.optim.Adam(network.parameters(), lr=training["learning_rate"], fused=True)
        loss_function, amp = find_loss(training["loss"]), autocast(device, training["precision"])
        torch.backends.cudnn.benchmark = True  # pays, because all batches but the last have one shape

        history: list[dict[str, float]] = []
        best_weights: dict[str, Tensor] = {}
        resumed = 0
        if state := load_state(state_path, recipe):
            network.load_state_dict(state["weights"])
            optimizer.load_state_dict(state["optimizer"])
            history, best_weights, resumed = state["history"], state["best_weights"], state["resumed"] + 1
            logger.info("Resuming after epoch %d.", len(history))

        total, done = training["max_epochs"] * len(train_set), len(history) * len(train_set)
        bar = tqdm(total=total, initial=done, unit=" slices", disable=None)  # None: only in a terminal
        with bar, logging_redirect_tqdm(), state_writer(state_path, recipe) as save, stop_on_signal() as stop_if_asked:
            while len(history) < training["max_epochs"] and patience_left(history, training["patience"]) > 0:
                started, epoch = time.perf_counter(), len(history) + 1
                bar.set_description(f"epoch {epoch}")
                # What is random depends on seed and epoch alone: a resumed epoch draws what an undisturbed one does.
                order = torch.randperm(len(train_set), generator=generator(seed, epoch))
                torch.manual_seed(generator(seed, epoch).initial_seed())

                network.train()
                losses = []  # left on the device: the host does not wait for it until the epoch ends
                for step, batch in enumerate(batches(train_set, order, batch_size), start=1):
                    stop_if_asked()
                    if training["augmentation"]:
                        batch = augment(batch, train_set, generator(seed, epoch, step))
                    with amp:
                        logits = forward(batch.image)
                    loss = loss_function(logits, batch.target, batch.valid)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                    losses.append(loss.detach())
                    bar.update(len(batch.indices))
                train_loss = finite_mean(torch.stack(losses).cpu(), epoch)

                network.eval()
                validation_loss, validation_dice = validate(forward, validation_set, batch_size, amp, stop_if_asked)
                if not math.isfinite(validation_loss):
                    raise UserError(f"Epoch {epoch}: the validation loss is not finite. {NOT_FINITE}")

                history.append(
                    {
                        "epoch": epoch,
                        "train_loss": train_loss,
                        "validation_loss": validation_loss,
                        "validation_dice": validation_dice,
                        "learning_rate": optimizer.param_groups[0]["lr"],
                        "seconds": time.perf_counter() - started,
                    }
                )
                weights = cpu_copy(network.state_dict())
                if best_epoch(history) == epoch:
                    best_weights = weights
                save(
                    weights=weights,
                    best_weights=best_weights,
                    optimizer=cpu_copy(optimizer.state_dict()),
                    history=history.copy(),
                    resumed=resumed,
                )
                report(bar, history, training, len(train_set))

        record = recipe | {
            "studies": {"train": train_set.studies, "validation": validation_set.studies},
            "parameters": parameter_count(network),
            "precision": "bfloat16" if uses_bfloat16(device, training["precision"]) else "float32",
            "threads": torch.get_num_threads(),
            "resident": train_set.resident,
            "epochs": len(history),
            "best_epoch": best_epoch(history),
            "resumed": resumed,
            "device": describe(device),
        }
        write_run(folder, best_weights, history, record)
        remove_state(state_path)


def best_epoch(history: Sequence[Mapping[str, float]]) -> int:
    """Return the epoch, from 1, with the lowest validation loss: the first of equals."""
    return 1 + min(range(len(history)), key=lambda row: history[row]["validation_loss"])


def patience_left(history: Sequence[Mapping[str, float]], patience: int) -> int:
    """Return how many more epochs may pass without a lower validation loss."""
    return patience - (len(history) - best_epoch(history)) if history else patience


def finite_mean(losses: Tensor, epoch: int) -> float:
    """Return the mean of an epoch's losses, one a step; raise UserError at the first that is not finite."""
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        raise UserError(f"Epoch {epoch}, step {int(bad[0]) + 1} of {len(losses)}: the loss is not finite. {NOT_FINITE}")
    return losses.double().mean().item()


def report(bar: tqdm, history: Sequence[Mapping[str, float]], training: Mapping[str, Any], slices: int) -> None:
    """Tell how the last epoch went, on the bar and as a line of the log."""
    row, left = history[-1], patience_left(history, training["patience"])
    loss, dice, speed = row["train_loss"], row["validation_dice"], slices / row["seconds"]
    bar.set_postfix({"loss": f"{loss:.4f}", "validation Dice": f"{dice:.4f}", "patience": left})
    logger.info(
        "epoch %d/%d: loss %.4f, validation loss %.4f, validation Dice %.4f, %.1f slices/s, patience left %d",
        *(row["epoch"], training["max_epochs"], loss, row["validation_loss"], dice, speed, left),
    )
