import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import avg_pool2d
from torch.utils._python_dispatch import TorchDispatchMode

from lesionbench.data.slices import load_stack
from lesionbench.errors import UserError
from lesionbench.models.networks import build_network
from lesionbench.models.unet import ClassicUNet
from lesionbench.training import loop as module
from lesionbench.training.batches import generator
from lesionbench.training.learner import FoldData, prepare
from lesionbench.training.loop import finite_mean, one_epoch, train
from lesionbench.training.loss import dice_ce_loss, dice_loss
from lesionbench.training.recipe import Recipe
from lesionbench.training.record import read_record
from lesionbench.training.runfile import STATE
from tiny import MODEL, PREPROCESSING, RECIPE, by_study, write_stack

FILES = ("weights.safetensors", "history.csv", "run.json")


@pytest.fixture(scope="session")
def stacks(tmp_path_factory):
    """Three training studies, of 9 slices each, and a validation study."""
    folder = tmp_path_factory.mktemp("stacks")
    return [write_stack(folder, seed) for seed in range(4)]


def run(stacks, folder, seed=0, neighbours=0, **changes):
    preprocessing = replace(PREPROCESSING, neighbours=neighbours)
    data = FoldData(by_study(stacks[:3]), by_study(stacks[3:]), preprocessing)
    recipe = replace(RECIPE, **changes)
    train(MODEL, recipe, data, folder, seed, code="abc", threads=1)
    return folder


@pytest.fixture(scope="session")
def undisturbed(stacks, tmp_path_factory):
    """A training of four epochs that nothing interrupted."""
    return run(stacks, tmp_path_factory.mktemp("undisturbed"))


def weights_of(folder):
    return (folder / FILES[0]).read_bytes()


def history_of(folder, without=("seconds",)):
    with (folder / FILES[1]).open(newline="") as file:
        return [{key: value for key, value in row.items() if key not in without} for row in csv.DictReader(file)]


def record_of(folder):
    return json.loads((folder / FILES[2]).read_text())


def assert_same(folder, other):
    assert weights_of(folder) == weights_of(other)
    assert history_of(folder) == history_of(other)


def test_an_epoch_that_takes_minutes_is_told_of_in_the_log(stacks, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr("lesionbench.progress.monotonic", count(0, 61).__next__)  # a minute passes at each look
    run(stacks, tmp_path, max_epochs=1)
    told = [text for text in caplog.messages if text.startswith("epoch 1/1: ")]
    assert told[0].startswith("epoch 1/1: 4 of 36 slices, about ") and told[-2] == "epoch 1/1: 36 of 36 slices"
    assert told[-1].startswith("epoch 1/1: loss ")
    assert "loading slices: 3 of 3 studies" in caplog.messages


def test_a_training_leaves_weights_history_and_record(undisturbed, stacks):
    assert sorted(path.name for path in undisturbed.iterdir()) == sorted(FILES)
    history = history_of(undisturbed, without=())
    columns = ["epoch", "train_loss", "validation_loss", "validation_dice", "learning_rate", "seconds"]
    assert list(history[0]) == columns and [row["epoch"] for row in history] == ["1", "2", "3", "4"]
    record = record_of(undisturbed)
    assert record["studies"] == {"train": [path.stem for path in stacks[:3]], "validation": [stacks[3].stem]}
    assert record["inputs_sha256"]["validation"].keys() == {stacks[3].stem}
    read = read_record(undisturbed / FILES[2])
    assert (read.model, read.recipe, read.preprocessing) == (MODEL, RECIPE, PREPROCESSING)
    assert record["device"] == {"type": "cpu"} and record["precision"] == "float32"
    assert (record["epochs"], record["resumed"], record["threads"]) == (4, 0, 1)
    losses = [float(row["validation_loss"]) for row in history]
    assert record["best_epoch"] == 1 + losses.index(min(losses))
    assert record["parameters"] > 100_000 and record["peak_host_memory_bytes"] > 2**27
    assert record["intensity"] == "hu"
    assert record["seconds"] == sum(float(row["seconds"]) for row in history)


def test_it_learns(stacks, tmp_path):
    history = history_of(run(stacks, tmp_path, max_epochs=12, patience=12))
    assert max(float(row["validation_dice"]) for row in history) > 0.9


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(stacks, undisturbed, tmp_path):
    assert_same(run(stacks, tmp_path / "again"), undisturbed)
    assert weights_of(run(stacks, tmp_path / "other", seed=1)) != weights_of(undisturbed)


def test_streaming_from_host_memory_changes_nothing(stacks, undisturbed, tmp_path):
    assert_same(run(stacks, tmp_path, resident_limit_gb=0), undisturbed)
    assert record_of(tmp_path)["resident"] is False


def test_augmentation_is_seeded(stacks, undisturbed, tmp_path):
    one, other = (run(stacks, tmp_path / name, augmentation="light", max_epochs=1) for name in "ab")
    assert_same(one, other)
    assert history_of(one)[0]["train_loss"] != history_of(undisturbed)[0]["train_loss"]


def test_the_first_step_is_the_papers(stacks, tmp_path):
    """One epoch of one batch is one step of Adam on the Dice loss, written out here."""
    torch.manual_seed(0)
    network = build_network(MODEL).module
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0001)
    images = np.concatenate([load_stack(path).image for path in stacks[:3]])
    masks = np.concatenate([load_stack(path).mask for path in stacks[:3]])
    loss = dice_loss(network(torch.from_numpy(images)[:, None] / 1000.0), torch.from_numpy(masks)[:, None])
    loss.backward()
    optimizer.step()
    folder = run(stacks, tmp_path, batch_size=27, max_epochs=1, learning_rate=0.0001)
    assert float(history_of(folder)[0]["train_loss"]) == pytest.approx(loss.item(), abs=1e-5)
    for name, tensor in load_file(folder / FILES[0]).items():
        # Adam's first step is the sign of the gradient, which rounding may turn where the gradient is nearly zero.
        close = torch.isclose(tensor.float(), network.state_dict()[name].float(), atol=1e-5, rtol=1e-3)
        assert close.float().mean() > 0.9, name


def better_each_epoch(monkeypatch):
    """Let the last epoch be the best."""
    losses = count(start=1, step=-0.01)
    monkeypatch.setattr(module, "validate", lambda *arguments: (next(losses), 0.5))


def test_a_whole_recipe_is_a_plain_loop_with_pytorch_s_own_parts(stacks, tmp_path, monkeypatch):
    """SGD, warm-up and polynomial decay, clipping and the average of the weights, written out here."""
    epochs, rate, clip, decay = 3, 0.02, 0.05, 0.8
    torch.manual_seed(0)
    network = build_network(MODEL).module
    optimizer = torch.optim.SGD(network.parameters(), rate, momentum=0.99, weight_decay=0.01, nesterov=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [1 / 2, 1, (1 / 2) ** 0.9, 0].__getitem__)

    def mixed(average, weight, number):  # PyTorch's number is one more, because it copies the first weights
        share = min(decay, number / (9 + number))
        return share * average + (1 - share) * weight

    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=mixed, use_buffers=True)
    average.n_averaged += 1
    images = torch.from_numpy(np.concatenate([load_stack(path).image for path in stacks[:3]]))[:, None] / 1000.0
    masks = torch.from_numpy(np.concatenate([load_stack(path).mask for path in stacks[:3]]))[:, None]
    norms = []
    for epoch in range(1, epochs + 1):
        for part in torch.randperm(27, generator=generator(0, epoch)).split(4):
            optimizer.zero_grad()
            dice_ce_loss(network(images[part]), masks[part]).backward()
            norms.append(torch.nn.utils.clip_grad_norm_(network.parameters(), clip).item())
            optimizer.step()
            average.update_parameters(network)
        schedule.step()
    assert sum(norm > clip for norm in norms) > 5

    better_each_epoch(monkeypatch)
    recipe = {"optimizer": "sgd", "weight_decay": 0.01, "schedule": "polynomial", "warmup_epochs": 1}
    recipe |= {"gradient_clipping": clip, "ema_decay": decay, "loss": "dice_ce"}
    run(stacks, tmp_path, learning_rate=rate, max_epochs=epochs, **recipe)
    rates = [float(row["learning_rate"]) for row in history_of(tmp_path)]
    assert rates == pytest.approx([rate / 2, rate, rate * 0.5**0.9])
    expected = average.module.state_dict()
    for name, tensor in load_file(tmp_path / FILES[0]).items():
        # Fused or not, the optimiser rounds otherwise; batch normalisation of the deepest layers makes that larger.
        tolerance = 1e-3 if "running" in name else 2e-5
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, expected[name], atol=tolerance, rtol=1e-3, msg=name)


def run_stopped(monkeypatch, stacks, folder, **changes):
    """Train as `run` does, and stop after the second epoch."""

    def stop_after_two(learner):
        if len(learner.history) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "report", stop_after_two)
        run(stacks, folder, **changes)


RECIPES = {
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "sgd": {"optimizer": "sgd", "gradient_clipping": 0.1},
    "cosine": {"schedule": "cosine", "warmup_epochs": 3},
    "polynomial": {"schedule": "polynomial"},
    "ema": {"ema_decay": 0.9},
    "foreground": {"foreground_share": 0.5},
    "strong": {"augmentation": "strong"},
    "neighbours": {"neighbours": 1, "augmentation": "light"},
    "deep": {"deep_supervision": True},
    "best by dice": {"best_epoch_by": "dice"},
}
RECIPES["all"] = {key: value for changes in RECIPES.values() for key, value in changes.items()}


@pytest.mark.parametrize("changes", RECIPES.values(), ids=RECIPES)
def test_with_every_key_a_stopped_training_goes_on_to_the_same_bytes(
    changes, stacks, undisturbed, tmp_path, monkeypatch
):
    forward = ClassicUNet.forward

    def with_auxiliary(self, image):
        logits = forward(self, image)
        self.auxiliary = [avg_pool2d(logits, 2), avg_pool2d(logits, 4)]
        return logits

    monkeypatch.setattr(ClassicUNet, "forward", with_auxiliary)
    whole = run(stacks, tmp_path / "whole", **changes)
    assert history_of(whole) != history_of(undisturbed) or "best_epoch_by" in changes
    run_stopped(monkeypatch, stacks, tmp_path / "stopped", **changes)
    assert_same(run(stacks, tmp_path / "stopped", **changes), whole)
    assert record_of(tmp_path / "stopped")["resumed"] == 1


def test_with_slices_of_many_sizes_a_stopped_or_streamed_training_gives_the_same_bytes(tmp_path, monkeypatch):
    shapes = [(32, 32, 9), (80, 90, 5), (20, 300, 1), (90, 80, 4), (16, 32, 6)]
    paths = [write_stack(tmp_path, seed, shape) for seed, shape in enumerate(shapes)]
    changes = {"foreground_share": 0.25, "augmentation": "light", "neighbours": 1}
    whole = run(paths, tmp_path / "whole", **changes)
    run_stopped(monkeypatch, paths, tmp_path / "stopped", **changes)
    assert_same(run(paths, tmp_path / "stopped", **changes), whole)
    assert record_of(tmp_path / "stopped")["resumed"] == 1
    assert_same(run(paths, tmp_path / "streamed", resident_limit_gb=0, **changes), whole)


def test_true_and_false_still_mean_light_and_no_augmentation():
    assert (Recipe(augmentation=True), Recipe(augmentation=False)) == (Recipe(augmentation="light"), Recipe())


def test_training_stops_early_and_keeps_the_best_epoch(stacks, tmp_path, monkeypatch):
    losses = iter([0.5, 0.4, 0.45, 0.4, 0.1])
    monkeypatch.setattr(module, "validate", lambda *arguments: (next(losses), 0.5))
    folder = run(stacks, tmp_path / "stopped", patience=2, max_epochs=50)
    assert (record_of(folder)["epochs"], record_of(folder)["best_epoch"]) == (4, 2)
    losses = iter([0.5, 0.4])
    assert weights_of(run(stacks, tmp_path / "two", max_epochs=2)) == weights_of(folder)


def test_a_loss_that_is_not_finite_names_epoch_and_step():
    with pytest.raises(UserError, match=r"Epoch 3, step 2 of 4.*training.learning_rate"):
        finite_mean(torch.tensor([0.5, float("nan"), 0.5, float("inf")]), 3)
    assert finite_mean(torch.tensor([0.25, 0.75]), 1) == 0.5


def test_a_diverging_training_stops_with_an_error(stacks, tmp_path):
    with pytest.raises(UserError, match=r"Epoch \d.*not finite.*training.learning_rate"):
        run(stacks, tmp_path, learning_rate=1e30)
    assert not (tmp_path / FILES[0]).exists()


def test_too_little_memory_names_the_batch_size(stacks, tmp_path, monkeypatch):
    def exhausted(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(module, "find_loss", lambda name: exhausted)
    with pytest.raises(UserError, match=r"training.batch_size \(now 4\)"):
        run(stacks, tmp_path)


def test_progress_is_a_line_an_epoch(stacks, tmp_path, caplog):
    with caplog.at_level("INFO"):
        run(stacks, tmp_path, max_epochs=2)
    lines = [message for message in caplog.messages if message.startswith("epoch")]
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2: loss 0.") and "slices/s, patience left" in lines[1]


def test_deep_supervision_of_a_network_without_further_outputs_is_told(stacks, undisturbed, tmp_path, caplog):
    assert_same(run(stacks, tmp_path, deep_supervision=True), undisturbed)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "training.deep_supervision: this network leaves no logits in `auxiliary`. It trains as without."
    ]


def test_sigterm_ends_at_the_next_step_and_the_training_goes_on_from_the_last_epoch(
    stacks, undisturbed, tmp_path, monkeypatch
):
    steps = []

    def terminated(*arguments):
        steps.append(1)
        if len(steps) == 10:  # of 7 a epoch: in the second
            os.kill(os.getpid(), signal.SIGTERM)
        return dice_loss(*arguments)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(module, "find_loss", lambda name: terminated)
        run(stacks, tmp_path)
    assert stop.value.code == 143 and len(steps) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", STATE]
    assert_same(run(stacks, tmp_path), undisturbed)
    assert record_of(tmp_path)["resumed"] == 1


# Forked from a process that has computed nothing yet, so that the imports, which take long, are paid once.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from lesionbench.training import loop as training
from test_loop import run

folder, *stacks = map(Path, sys.argv[1:])

def kill(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def kill_in_the_second_epoch(steps=[], dice_loss=training.find_loss("dice")):
    def loss(*arguments):
        steps.append(1)
        while len(steps) == 10:
            if (folder / "training-state.pt").exists():
                kill()
        return dice_loss(*arguments)
    training.find_loss = lambda name: loss

def kill_in_the_third_state(save=torch.save):
    def save_half(state, path):
        save(state, path)
        if len(state["history"]) == 3:
            os.truncate(path, path.stat().st_size // 2)
            kill()
    torch.save = save_half

def kill_before_the_outputs():
    training.write_run = kill

for arm, epochs in ((kill_in_the_second_epoch, 1), (kill_in_the_third_state, 2), (kill_before_the_outputs, 4)):
    child = os.fork()
    if not child:
        arm()
        run(stacks, folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (arm, status)
    assert len(torch.load(folder / "training-state.pt")["history"]) == epochs, arm
"""


def test_a_training_killed_three_times_gives_the_same_bytes(stacks, undisturbed, tmp_path):
    """Killed in the second epoch, while it writes the third epoch's state, and before it writes its outputs."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, *stacks], env=environment, check=True)
    for name in FILES:  # what a kill in the middle of a write leaves
        (tmp_path / f".1-{name}").touch()
    assert_same(run(stacks, tmp_path), undisturbed)
    assert record_of(tmp_path)["resumed"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


class Waits(TorchDispatchMode):
    """Counts what would let the host wait for a GPU: a value that Python asks for, a result of unknown size."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        aten = torch.ops.aten
        if function in (aten._local_scalar_dense.default, aten.nonzero.default):
            # Whole numbers are the order of the slices, which stays with the host.
            self.count += arguments[0].dtype != torch.int64
        elif function == aten.index.Tensor:
            self.count += any(index is not None and index.dtype == torch.bool for index in arguments[1])
        return function(*arguments, **(options or {}))


def test_the_host_waits_for_the_device_once_an_epoch_and_in_no_step(stacks, tmp_path, monkeypatch):
    recipe = replace(RECIPE, loss="dice_ce", gradient_clipping=1, ema_decay=0.9, foreground_share=0.3)
    data = FoldData(by_study(stacks[:3]), by_study(stacks[3:]), PREPROCESSING)
    counts = []
    for batch_size in (9, 3):  # three steps, and nine
        learner = prepare(MODEL, replace(recipe, batch_size=batch_size), data, 0, torch.device("cpu"))
        assert len(learner.slices.lesion)  # found once a training
        with Waits() as waits:
            one_epoch(learner, lambda: None)
        counts.append(waits.count)
    assert counts[0] == counts[1]
    with Waits() as waits:
        torch.ones(3).sum().item()
        torch.ones(3)[torch.ones(3) > 0]
    assert waits.count == 2


def test_another_recipe_starts_anew(stacks, undisturbed, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "write_run", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        run(stacks, tmp_path, learning_rate=0.02)
    with caplog.at_level("INFO"):
        assert_same(run(stacks, tmp_path), undisturbed)
    assert "(different: training.learning_rate)" in caplog.text
