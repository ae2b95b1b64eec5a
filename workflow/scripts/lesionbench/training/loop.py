"""Train one model on one fold with one seed: the loop, from the slices to the record."""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from lesionbench.errors import UserError
from lesionbench.files import sha256
from lesionbench.models.entry import ModelEntry
from lesionbench.models.own import describe_code
from lesionbench.progress import Advance, progress, track
from lesionbench.training.augmentation import augment
from lesionbench.training.batches import batches, draw_order, generator
from lesionbench.training.checkpoint import load_state, remove_partial, remove_state, state_writer, stop_on_signal
from lesionbench.training.device import autocast, describe, hold_device, in_words
from lesionbench.training.early_stopping import validate
from lesionbench.training.folder_lock import held_lock, note
from lesionbench.training.learner import FoldData, Learner, prepare
from lesionbench.training.loss import deep_loss, find_loss
from lesionbench.training.memory import explain_out_of_memory
from lesionbench.training.recipe import Recipe
from lesionbench.training.record import write_history, write_run
from lesionbench.training.resumption import check_state
from lesionbench.training.runfile import HISTORY, LOCK, RECORD, STATE, WEIGHTS
from lesionbench.training.trackers import tracking

NOT_FINITE = "Lower training.learning_rate, or set training.precision to float32."
TOO_LARGE = "Lower training.batch_size (now {}), or training.resident_limit_gb if the slices take too much."

logger = logging.getLogger(__name__)


def train(
    model: ModelEntry,
    recipe: Recipe,
    data: FoldData,
    folder: str | Path,
    seed: int = 0,
    *,
    encoder_weights: str | Path | None = None,
    code: str = "",
    threads: int | None = None,
    log: Iterable[str] = (),
) -> None:
    """Train a network and write weights.safetensors, history.csv and run.json to `folder`.

    The default recipe is the paper's (chapter 5): Adam, Dice loss, a stop after `patience` epochs without a lower
    validation loss; the best epoch's weights are kept, or, with `ema_decay`, the moving average at its end. `code`, the
    digest of the code, goes into the record. `log` names trackers that get the history too (`trackers.tracking`).

    After each epoch the whole state is written to training-state.pt, and a training with the same arguments goes on
    from there. On the CPU, with a given number of `threads`, the same arguments give the same bytes of weights and the
    same losses, however often the training was killed.

    Raises UserError where another process trains in the folder, the device is not there or its memory is too small, a
    study has no mask or a loss is not finite.
    """
    folder = Path(folder)
    inputs = describe_inputs(model, recipe, data, encoder_weights) | {"seed": seed, "code": code}
    if threads:
        torch.set_num_threads(threads)
    with (
        held_lock(folder / LOCK, "waiting for a device") as lock,
        hold_device(recipe.device) as device,
        explain_out_of_memory(device, TOO_LARGE.format(recipe.batch_size)),
    ):
        note(lock, doing="loading slices")
        for name in (WEIGHTS, HISTORY, RECORD):
            remove_partial(folder / name)
        logger.info("Training on %s.", in_words(device))
        learner = prepare(model, recipe, data, seed, device, encoder_weights)
        if state := load_state(folder / STATE, inputs, partial(check_state, learner)):
            learner.resume(state)
            logger.info("Resuming after epoch %d.", len(learner.history))
        with (
            tracking(log, folder, inputs, learner.history) as send,
            state_writer(folder / STATE, inputs) as save,
            stop_on_signal() as stop,
        ):
            while learner.goes_on:
                note(lock, doing="training", max_epochs=recipe.max_epochs, patience_left=learner.patience_left)
                save(**one_epoch(learner, stop))
                write_history(folder, learner.history)
                send(learner.history)
                report(learner)
        record = inputs | learner.describe() | {"device": describe(device)}
        write_run(folder, learner.best_weights, learner.history, record)
        remove_state(folder / STATE)


def describe_inputs(
    model: ModelEntry, recipe: Recipe, data: FoldData, encoder_weights: str | Path | None
) -> dict[str, Any]:
    """Return what a training is made from, with the SHA-256 of each file: for its record and its state."""
    return {
        "model": asdict(model),
        "model_code": describe_code(model),
        "training": asdict(recipe),
        "preprocessing": asdict(data.preprocessing),
        "intensity": data.intensity,
        "fold": data.fold,
        "encoder_weights_sha256": sha256(encoder_weights) if encoder_weights else None,
        "inputs_sha256": {
            subset: {study: sha256(path) for study, path in track(stacks.items(), "study", label="hashing")}
            for subset, stacks in (("train", data.train), ("validation", data.validation))
        },
    }


def one_epoch(learner: Learner, stop_if_asked: Callable[[], None]) -> dict[str, Any]:
    """Train over all slices once, validate, and return the state to go on from."""
    started, epoch = time.perf_counter(), len(learner.history) + 1
    label = f"epoch {epoch}/{learner.recipe.max_epochs}"
    with progress("slice", len(learner.slices) + len(learner.validation), label) as advance:
        train_loss = train_epoch(learner, epoch, stop_if_asked, advance)
        learner.network.module.eval()
        validation_loss, validation_dice = validate(
            learner.judged, learner.validation, learner.recipe, stop_if_asked, advance
        )
    if not math.isfinite(validation_loss):
        raise UserError(f"Epoch {epoch}: the validation loss is not finite. {NOT_FINITE}")
    return learner.end_epoch(
        {
            "epoch": epoch,
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "validation_dice": validation_dice,
            "learning_rate": learner.optimizer.param_groups[0]["lr"],
            "seconds": time.perf_counter() - started,
        }
    )


def train_epoch(learner: Learner, epoch: int, stop_if_asked: Callable[[], None], advance: Advance) -> float:
    """Take a step of the optimiser for each batch of the training slices; return the mean loss of the steps.

    What is random depends on seed and epoch alone, so that a resumed epoch draws what an undisturbed one does.
    """
    recipe, slices, seed = learner.recipe, learner.slices, learner.seed
    loss_function, amp = find_loss(recipe.loss), autocast(learner.device, recipe.precision)
    order = draw_order(slices, recipe.batch_size, recipe.foreground_share, generator(seed, epoch))
    torch.manual_seed(generator(seed, epoch).initial_seed())
    learner.network.module.train()
    losses = []  # left on the device: the host does not wait for it until the epoch ends
    for step, batch in enumerate(batches(slices, order, recipe.batch_size), start=1):
        stop_if_asked()
        if recipe.augmentation != "none":
            batch = augment(batch, slices, recipe.augmentation, generator(seed, epoch, step))
        with amp:
            logits = learner.forward(batch.image)
        auxiliary = learner.auxiliary if recipe.deep_supervision else []
        loss = deep_loss(loss_function, [logits, *auxiliary], batch.target, batch.valid)
        learner.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.gradient_clipping:
            clip_grad_norm_(learner.network.module.parameters(), recipe.gradient_clipping)
        learner.optimizer.step()
        if learner.average:
            learner.average.update(learner.network.module)
        losses.append(loss.detach())
        advance(len(batch.indices))
    return finite_mean(torch.stack(losses).cpu(), epoch)


def finite_mean(losses: Tensor, epoch: int) -> float:
    """Return the mean of an epoch's losses, one a step; raise UserError at the first that is not finite."""
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        raise UserError(f"Epoch {epoch}, step {int(bad[0]) + 1} of {len(losses)}: the loss is not finite. {NOT_FINITE}")
    return losses.double().mean().item()


def report(learner: Learner) -> None:
    """Report the last epoch as a line of the log."""
    row, left = learner.history[-1], learner.patience_left
    loss, dice, speed = row["train_loss"], row["validation_dice"], len(learner.slices) / row["seconds"]
    logger.info(
        "epoch %d/%d: loss %.4f, validation loss %.4f, validation Dice %.4f, %.1f slices/s, patience left %d",
        *(row["epoch"], learner.recipe.max_epochs, loss, row["validation_loss"], dice, speed, left),
    )
    if learner.recipe.deep_supervision and not learner.auxiliary and row["epoch"] == 1:
        logger.warning("training.deep_supervision: this network leaves no logits in `auxiliary`. It trains as without.")
