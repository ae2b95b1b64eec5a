import logging
import os
import signal
import zipfile

import pytest
import torch

from lesionbench.training.checkpoint import cpu_copy, load_state, remove_state, state_writer, stop_on_signal

FINGERPRINT = {"training": {"batch_size": 8, "loss": "dice"}, "seed": 0, "code": "abc"}


def save_state(path, **state):
    with state_writer(path, FINGERPRINT) as save:
        save(**state)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "training-state.pt"


def test_what_was_saved_is_found_again(path):
    weights = {"a": torch.arange(3.0), "b": torch.tensor(7)}
    save_state(path, weights=weights, history=[{"epoch": 1, "train_loss": 0.25}])
    state = load_state(path, FINGERPRINT)
    assert torch.equal(state["weights"]["a"], weights["a"]) and state["weights"]["b"] == 7
    assert state["history"] == [{"epoch": 1, "train_loss": 0.25}]


def test_nothing_saved_is_nothing_found(path):
    assert load_state(path, FINGERPRINT) is None


def test_weights_that_are_the_best_are_written_once(path):
    weights = {"a": torch.zeros(100_000)}
    save_state(path, weights=weights, best_weights=weights)
    assert path.stat().st_size < 1.5 * weights["a"].nbytes


def test_another_training_s_state_is_left_and_the_difference_told(path, caplog):
    save_state(path, weights={})
    other = FINGERPRINT | {"training": {"batch_size": 4, "loss": "dice"}, "code": "abd", "encoder": "vgg19"}
    with caplog.at_level(logging.INFO):
        assert load_state(path, other) is None
    assert "code, encoder, training.batch_size)" in caplog.text
    assert load_state(path, FINGERPRINT) is not None


def _truncated(path):
    save_state(path, weights={"a": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:-700])


def _with_a_flipped_bit(path):
    save_state(path, weights={"a": torch.zeros(1000)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _zip_of_something_else(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")


BROKEN = {
    "truncated": _truncated,
    "a bit flipped": _with_a_flipped_bit,
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("hello"),
    "another zip": _zip_of_something_else,
    "a list": lambda path: torch.save([1, 2], path),
    "a module": lambda path: torch.save(torch.nn.Linear(1, 1), path),
    "no fingerprint": lambda path: torch.save({"weights": {}}, path),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_a_broken_or_foreign_file_is_set_aside(path, caplog, damage):
    damage(path)
    content = path.read_bytes()
    assert load_state(path, FINGERPRINT) is None
    (aside,) = path.parent.iterdir()
    assert aside.name.startswith("training-state.broken-") and aside.read_bytes() == content
    assert aside.name in caplog.text


def test_half_written_states_are_removed(path):
    partial = path.with_name(f".123-{path.name}")
    for clean in (lambda: load_state(path, FINGERPRINT), lambda: remove_state(path)):
        partial.touch()
        clean()
        assert not list(path.parent.iterdir())


def test_the_last_state_is_the_one_that_stays(path):
    with state_writer(path, FINGERPRINT) as save:
        for epoch in range(5):
            save(epoch=epoch)
    assert load_state(path, FINGERPRINT)["epoch"] == 4


def test_a_state_that_cannot_be_written_is_an_error(path):
    path.mkdir()
    with pytest.raises(OSError), state_writer(path, FINGERPRINT) as save:
        save(epoch=1)


def test_a_copy_of_an_optimizer_does_not_change():
    weight = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    copy = cpu_copy(optimizer.state_dict())
    assert copy["param_groups"] == optimizer.state_dict()["param_groups"]
    moment = copy["state"][0]["exp_avg"].clone()
    optimizer.step()
    assert torch.equal(copy["state"][0]["exp_avg"], moment)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_the_next_check(number, caplog):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stop, stop_on_signal() as stop_if_asked:
        stop_if_asked()
        os.kill(os.getpid(), number)
        stop_if_asked()
    assert stop.value.code == 128 + number
    assert number.name in caplog.text
    assert signal.getsignal(number) is before


def test_a_state_that_does_not_fit_the_training_is_set_aside(path, caplog):
    def refuse(state):
        raise ValueError(f"it has no {min({'weights'} - state.keys())}")

    save_state(path, history=[])
    assert load_state(path, FINGERPRINT, refuse) is None
    assert "is no state of a training (it has no weights)" in caplog.text
    assert not path.exists() and list(path.parent.glob("training-state.broken-*.pt"))


def test_a_state_that_is_packed_is_set_aside(path, caplog):
    save_state(path, weights={"a": torch.zeros(1000)})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert load_state(path, FINGERPRINT) is None and "it is packed" in caplog.text
