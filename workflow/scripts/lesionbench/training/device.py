"""Which device computes: the freest GPU that no other training holds, Apple's MPS, or the CPU."""

import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import BaseFileLock, FileLock, Timeout
from torch import nn

from lesionbench.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gpu:
    """A CUDA device that this process may use: its index in torch, its UUID, its free memory in bytes."""

    index: int
    uuid: str
    free: int


def choose_device(name: str) -> torch.device:
    """Return the device that `name` (auto, cpu, cuda, cuda:N, mps) means here: of several GPUs the freest.

    Raises UserError where there is no such device.
    """
    gpus = _candidates(name)
    return _cuda(_by_free_memory(gpus)[0]) if gpus else _without_cuda(name)


@contextmanager
def hold_device(name: str) -> Iterator[torch.device]:
    """Choose a device as `choose_device` does and, if it is a GPU, keep it from other trainings inside the block.

    A process that finds every GPU taken waits, so that one GPU holds one training however many Snakemake starts. The
    only GPU of a SLURM job is the job's own, and not locked.
    """
    gpus = _candidates(name)
    with ExitStack() as stack:
        if not gpus:
            yield _without_cuda(name)
        elif "SLURM_JOB_ID" in os.environ and len(gpus) == 1:
            yield _cuda(gpus[0])
        else:
            yield _cuda(stack.enter_context(hold_gpu(gpus)))


@contextmanager
def hold_gpu(gpus: Sequence[Gpu], folder: Path | None = None, poll_seconds: float = 2) -> Iterator[Gpu]:
    """Hold the freest of `gpus` whose lock is free, waiting where none is; the lock ends with the process.

    The locks, one a UUID, are files in `folder`, by default one of the user's own in the temporary directory.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"lesionbench-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = _lock_freest(gpus, folder)
    if not held:
        names = ", ".join(f"cuda:{gpu.index}" for gpu in gpus)
        logger.info("Waiting for a GPU: other trainings hold %s (locks in %s).", names, folder)
    while not held:
        time.sleep(poll_seconds)
        held = _lock_freest(gpus, folder)
    gpu, lock = held
    try:
        yield gpu
    finally:
        lock.release()


def uses_bfloat16(device: torch.device, precision: str) -> bool:
    """Say whether `training.precision` (auto, float32, bfloat16) means bfloat16 autocast on this device."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bfloat16"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the autocast context for `training.precision`; it may be entered several times."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(device, precision))


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, in the memory layout that is faster there.

    Tensor cores want the channels last; on a CPU, U-Net and VGG19 were up to a fifth slower in this way.
    """
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    return network.to(device).to(memory_format=layout)


def describe(device: torch.device) -> dict[str, Any]:
    """Return what a run's record says of the device: its name, and for a GPU its UUID, driver and peak memory."""
    if device.type != "cuda":
        return {"type": device.type}
    properties = torch.cuda.get_device_properties(device)
    _, driver = _nvidia_smi().get(str(properties.uuid), (0, None))
    return {
        "type": "cuda",
        "name": properties.name,
        "uuid": str(properties.uuid),
        "memory_bytes": properties.total_memory,
        "driver": driver,
        "cuda": torch.version.cuda,
        "peak_memory_bytes": torch.cuda.max_memory_allocated(device),
    }


def _candidates(name: str) -> list[Gpu]:
    """Return the GPUs among which `name` leaves the choice; none where it means another device."""
    if name in ("cpu", "mps") or (name == "auto" and not torch.cuda.is_available()):
        return []
    gpus = _visible_gpus() if torch.cuda.is_available() else []
    chosen = [gpu for gpu in gpus if name in ("auto", "cuda", f"cuda:{gpu.index}")]
    if not chosen:
        there = ", ".join(f"cuda:{gpu.index}" for gpu in gpus) or "no GPU that this PyTorch can use"
        raise UserError(
            f"training.device or --device: there is no device {name!r} here ({there}; CUDA_VISIBLE_DEVICES counts). "
            "Write auto, cpu, cuda, cuda:N or mps."
        )
    return chosen


def _cuda(gpu: Gpu) -> torch.device:
    torch.cuda.set_device(gpu.index)  # otherwise a stray allocation opens a context on the first GPU
    return torch.device("cuda", gpu.index)


def _without_cuda(name: str) -> torch.device:
    mps = torch.backends.mps.is_available()
    if name == "mps" and not mps:
        raise UserError("training.device or --device: this machine or this PyTorch has no MPS. Write auto or cpu.")
    return torch.device("mps" if mps and name != "cpu" else "cpu")


def _lock_freest(gpus: Sequence[Gpu], folder: Path) -> tuple[Gpu, BaseFileLock] | None:
    for gpu in _by_free_memory(gpus):
        lock = FileLock(folder / f"{gpu.uuid}.lock")
        with suppress(Timeout):
            lock.acquire(blocking=False)
            return gpu, lock
    return None


def _by_free_memory(gpus: Sequence[Gpu]) -> list[Gpu]:
    return sorted(gpus, key=lambda gpu: (-gpu.free, gpu.index))


def _visible_gpus() -> list[Gpu]:
    """List the GPUs that CUDA_VISIBLE_DEVICES leaves. Free memory is 0 where nvidia-smi does not report it."""
    memory = _nvidia_smi()
    uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    return [Gpu(index, uuid, memory.get(uuid, (0, None))[0]) for index, uuid in enumerate(uuids)]


def _nvidia_smi() -> dict[str, tuple[int, str]]:
    """Return free memory in bytes and driver version by UUID.

    From nvidia-smi, because `torch.cuda.mem_get_info` would open a context, some 500 MB, on each GPU it looks at.
    """
    query = ["nvidia-smi", "--query-gpu=uuid,memory.free,driver_version", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
        rows = [[cell.strip() for cell in line.split(",")] for line in lines]
        return {uuid.removeprefix("GPU-"): (int(free) * 2**20, driver) for uuid, free, driver in rows}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
