import errno
import logging
import multiprocessing
import os
import pwd
import sys
from functools import partial

import pytest
import torch

from lesionbench.errors import UserError
from lesionbench.training import device as devices
from lesionbench.training.device import (
    Gpu,
    _nvidia_smi,
    autocast,
    choose_device,
    describe,
    hold_device,
    hold_gpu,
    in_words,
    uses_bfloat16,
)

CPU = torch.device("cpu")
GPUS = [Gpu(0, "aaaa", 10 * 2**30), Gpu(1, "bbbb", 70 * 2**30), Gpu(2, "cccc", 40 * 2**30)]
PATIENCE = 60  # seconds after which a test gives up; none waits that long


def name_of(folder):
    """A start of the locks' names that no other test has."""
    return f"{folder}-"


def _hold(prefix, gpus, pipe, user=None):
    if user is not None:
        os.setuid(user)
    with hold_gpu(lambda: gpus, prefix=prefix, poll_seconds=0.01) as gpu:
        pipe.send(gpu.index)
        pipe.recv()


@pytest.fixture
def start_training(tmp_path):
    """Start processes that each hold a GPU; return (process, pipe) of each."""
    context = multiprocessing.get_context("fork")
    started = []

    def start(gpus=GPUS, user=None):
        ours, theirs = context.Pipe()
        process = context.Process(target=_hold, args=(name_of(tmp_path), gpus, theirs, user), daemon=True)
        process.start()
        theirs.close()
        started.append(process)
        return process, ours

    yield start
    for process in started:
        process.kill()
        process.join()


def held(pipe):
    assert pipe.poll(PATIENCE)
    return pipe.recv()


def test_trainings_take_the_freest_gpu_that_is_left(start_training):
    assert [held(start_training()[1]) for _ in GPUS] == [1, 2, 0]


def test_a_training_waits_until_a_dead_one_frees_its_gpu(start_training):
    first, first_pipe = start_training(GPUS[:1])
    assert held(first_pipe) == 0
    waiting, pipe = start_training(GPUS[:1])
    assert not pipe.poll(0.2) and waiting.is_alive()
    first.kill()
    assert held(pipe) == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
@pytest.mark.parametrize("users", [("root", "nobody"), ("nobody", "root")])
def test_users_do_not_take_each_others_gpu(start_training, users):
    first_user, other_user = (pwd.getpwnam(user).pw_uid for user in users)
    first, first_pipe = start_training(GPUS[:1], first_user)
    assert held(first_pipe) == 0
    _, pipe = start_training(GPUS[:1], other_user)
    assert not pipe.poll(0.2)
    first.kill()
    assert held(pipe) == 0


def test_a_wait_says_who_holds_the_gpu(start_training, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    process, pipe = start_training(GPUS[:1])
    assert held(pipe) == 0
    monkeypatch.setattr(devices.time, "sleep", lambda seconds: process.kill() or process.join())
    with hold_gpu(lambda: GPUS[:1], prefix=name_of(tmp_path)):
        user = pwd.getpwuid(os.getuid()).pw_name
        assert caplog.messages == [f"Waiting for a GPU: process {process.pid} of {user} holds cuda:0."]


def test_a_gpu_that_other_programs_fill_is_not_taken(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    filled, emptied = Gpu(0, "aaaa", 30 * 2**30, 80 * 2**30), Gpu(1, "bbbb", 20 * 2**30, 24 * 2**30)
    with hold_gpu(lambda: [filled, emptied], prefix=name_of(tmp_path)) as gpu:
        assert gpu.index == 1
    looks = iter([[filled], [filled], [Gpu(0, "aaaa", 79 * 2**30, 80 * 2**30)]])
    with hold_gpu(lambda: next(looks), prefix=name_of(tmp_path), poll_seconds=0) as gpu:
        assert gpu.index == 0
    assert "other programs have 50.0 of 80.0 GB of cuda:0 (to use it all the same, " in caplog.text
    with hold_gpu(lambda: [filled], also_filled=True, prefix=name_of(tmp_path)):
        assert caplog.messages[-1] == "Other programs have more than half of the memory of cuda:0."


def test_without_locks_the_freest_is_taken_with_a_warning(tmp_path, caplog, monkeypatch):
    def refuse(*kind):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(devices.socket, "socket", refuse)
    with hold_gpu(lambda: GPUS, prefix=name_of(tmp_path)) as gpu:
        assert gpu.index == 1
    assert "start one training a GPU" in caplog.text


def test_the_end_of_the_block_frees_the_gpu(tmp_path):
    for _ in range(2):
        with hold_gpu(lambda: GPUS, prefix=name_of(tmp_path)) as gpu:
            assert gpu.index == 1


@pytest.fixture
def three_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    monkeypatch.setattr(devices, "_visible_gpus", lambda: GPUS)
    monkeypatch.setattr(devices, "hold_gpu", partial(hold_gpu, prefix=name_of(tmp_path)))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.mark.parametrize(
    ("name", "expected"), [("auto", "cuda:1"), ("cuda", "cuda:1"), ("cuda:2", "cuda:2"), ("cpu", "cpu")]
)
def test_a_name_means_a_device(three_gpus, name, expected):
    assert choose_device(name) == torch.device(expected)
    with hold_device(name) as device:
        assert device == torch.device(expected)


def test_two_trainings_at_once_get_two_gpus(three_gpus):
    with hold_device("auto") as first, hold_device("auto") as second:
        assert (first.index, second.index) == (1, 2)


def test_the_only_gpu_of_a_slurm_job_is_taken_without_a_lock(three_gpus, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setattr(devices, "_visible_gpus", lambda: GPUS[:1])
    with hold_device("auto") as first, hold_device("auto") as second:
        assert first.index == second.index == 0


def test_trainings_in_one_slurm_job_share_out_its_gpus(three_gpus, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    test_two_trainings_at_once_get_two_gpus(three_gpus)


def test_an_unknown_gpu_is_an_error_that_names_those_there(three_gpus):
    with pytest.raises(UserError, match=r"^training\.device: .*cuda:7.*cuda:0, cuda:1, cuda:2"):
        choose_device("cuda:7")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_accelerator_that_is_not_there_is_an_error(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"^--device: "):
        choose_device(name, "--device")


@pytest.mark.parametrize(("mps", "expected"), [(True, "mps"), (False, "cpu")])
def test_auto_without_cuda_is_mps_or_the_cpu(monkeypatch, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto").type == expected


def test_a_gpu_that_pytorch_cannot_use_is_told(monkeypatch, caplog):
    monkeypatch.delenv("SLURM_JOB_GPUS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(devices, "_nvidia_smi", lambda: {"aaaa": (2**30, 2**31, "575")})
    assert choose_device("auto") == CPU
    assert "nvidia-smi shows 1 GPU, and PyTorch" in caplog.text and "the CPU computes" in caplog.text
    monkeypatch.setenv("SLURM_JOB_GPUS", "3")
    with pytest.raises(UserError, match="SLURM gave this job the GPU 3, and PyTorch"):
        choose_device("auto")
    assert choose_device("cpu") == CPU


def test_the_cpu_is_named_with_its_threads():
    assert in_words(CPU) == f"the CPU ({torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)})"


def test_free_memory_is_read_from_nvidia_smi(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint('GPU-aaaa, 1024, 2048, 575')\nprint('GPU-bbbb, 2048, 2048, 575')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _nvidia_smi() == {"aaaa": (2**30, 2**31, "575"), "bbbb": (2**31, 2**31, "575")}
    program.unlink()
    assert _nvidia_smi() == {}


def test_precision_on_the_cpu():
    assert [uses_bfloat16(CPU, precision) for precision in ("auto", "float32", "bfloat16")] == [False, False, True]
    image, weight = torch.rand(4, 4), torch.rand(4, 4)
    for precision, expected in (("auto", torch.float32), ("bfloat16", torch.bfloat16)):
        with autocast(CPU, precision):
            assert (image @ weight).dtype == expected


def test_the_cpu_describes_itself():
    assert describe(CPU) == {"type": "cpu"}
