"""Which device computes: the freest GPU that no other training holds, Apple's MPS, or the CPU."""

import errno
import logging
import os
import pwd
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lesionbench.errors import UserError
from lesionbench.words import counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gpu:
    """A CUDA device that this process may use: its index in torch, its UUID, its free and all memory in bytes.

    Both are 0 where the driver does not tell.
    """

    index: int
    uuid: str
    free: int
    total: int = 0

    @property
    def is_filled(self) -> bool:
        """Whether other programs have more than half of its memory."""
        return self.free < self.total / 2


def choose_device(name: str, key: str = "training.device") -> torch.device:
    """Return the device that `name` (auto, cpu, cuda, cuda:N, mps) means here: of several GPUs the freest.

    Raises UserError, naming the key or option that it comes from, where there is no such device.
    """
    gpus = _candidates(name, key)
    return _cuda(_by_free_memory(gpus)[0]) if gpus else _without_cuda(name, key)


@contextmanager
def hold_device(name: str) -> Iterator[torch.device]:
    """Choose a device as `choose_device` does and, if it is a GPU, keep it from other trainings inside the block.

    A process that finds every GPU taken waits, so that one GPU holds one training however many Snakemakes of whatever
    users of the machine start. The only GPU of a SLURM job is the job's own, and not locked.
    """
    gpus = _candidates(name)
    if not gpus:
        yield _without_cuda(name)
    elif "SLURM_JOB_ID" in os.environ and len(gpus) == 1:
        yield _cuda(gpus[0])
    else:
        with hold_gpu(lambda: _candidates(name), also_filled=name.startswith("cuda:")) as gpu:
            yield _cuda(gpu)


@contextmanager
def hold_gpu(
    look: Callable[[], Sequence[Gpu]], also_filled: bool = False, prefix: str = "", poll_seconds: float = 2
) -> Iterator[Gpu]:
    """Hold the freest of the GPUs that `look` finds and no other process holds, waiting where there is none.

    What is held is an abstract socket with the GPU's UUID in its name: it serves all users of a machine, needs no file,
    and ends with the process. Where there are no such sockets, a warning says so, and the freest is taken. A GPU that
    other programs fill is left alone, or with `also_filled` taken with a warning.
    """
    said = False
    while True:
        for gpu in _by_free_memory(look()):
            if gpu.is_filled and not also_filled:
                continue
            lock = _lock(f"{prefix}lesionbench-gpu-{gpu.uuid}")
            if lock is None:
                continue
            with lock:
                if gpu.is_filled:
                    logger.warning("Other programs have more than half of the memory of cuda:%d.", gpu.index)
                yield gpu
            return
        if not said:
            logger.info("Waiting for a GPU: %s.", ", ".join(_why_not(gpu, prefix) for gpu in look()))
            said = True
        time.sleep(poll_seconds)


def _lock(name: str) -> socket.socket | nullcontext[None] | None:
    """Return a socket that no other process of the machine can have as long as it is open; None where one has it."""
    try:
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        holder.bind(f"\0{name}")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holder.close()
            return None
        logger.warning("GPUs cannot be kept from other trainings here (%s): start one training a GPU.", error)
        return nullcontext()
    holder.listen()
    return holder


def _why_not(gpu: Gpu, prefix: str) -> str:
    """Say who holds a GPU, as far as the system tells."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.connect(f"\0{prefix}lesionbench-gpu-{gpu.uuid}")
        process, user, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return f"process {process} of {_user(user)} holds cuda:{gpu.index}"
    used, total = (size / 2**30 for size in (gpu.total - gpu.free, gpu.total))
    return (
        f"other programs have {used:.1f} of {total:.1f} GB of cuda:{gpu.index} (to use it all the same, set "
        f"training.device to cuda:{gpu.index})"
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


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


def in_words(device: torch.device) -> str:
    """Return "cuda:0 (its name)", "the CPU (4 threads)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"the CPU ({counted(torch.get_num_threads(), 'thread')})" if device.type == "cpu" else str(device)


def describe(device: torch.device) -> dict[str, Any]:
    """Return what a run's record says of the device: its name, and for a GPU its UUID, driver and peak memory."""
    if device.type != "cuda":
        return {"type": device.type}
    properties = torch.cuda.get_device_properties(device)
    *_, driver = _nvidia_smi().get(str(properties.uuid), (0, 0, None))
    return {
        "type": "cuda",
        "name": properties.name,
        "uuid": str(properties.uuid),
        "memory_bytes": properties.total_memory,
        "driver": driver,
        "cuda": torch.version.cuda,
        "peak_memory_bytes": torch.cuda.max_memory_allocated(device),
    }


def _candidates(name: str, key: str = "training.device") -> list[Gpu]:
    """Return the GPUs among which `name` leaves the choice; none where it means another device."""
    if name in ("cpu", "mps") or (name == "auto" and not torch.cuda.is_available()):
        return []
    gpus = _visible_gpus() if torch.cuda.is_available() else []
    chosen = [gpu for gpu in gpus if name in ("auto", "cuda", f"cuda:{gpu.index}")]
    if not chosen:
        there = ", ".join(f"cuda:{gpu.index}" for gpu in gpus) or "no GPU that this PyTorch can use"
        raise UserError(
            f"{key}: there is no device {name!r} here ({there}; CUDA_VISIBLE_DEVICES counts). "
            "Write auto, cpu, cuda, cuda:N or mps."
        )
    return chosen


def _cuda(gpu: Gpu) -> torch.device:
    torch.cuda.set_device(gpu.index)  # otherwise a stray allocation opens a context on the first GPU
    return torch.device("cuda", gpu.index)


def _without_cuda(name: str, key: str = "training.device") -> torch.device:
    mps = torch.backends.mps.is_available()
    if name == "mps" and not mps:
        raise UserError(f"{key}: this machine or this PyTorch has no MPS. Write auto or cpu.")
    if name == "auto" and not mps:
        _tell_unseen_gpus()
    return torch.device("mps" if mps and name != "cpu" else "cpu")


def _by_free_memory(gpus: Sequence[Gpu]) -> list[Gpu]:
    return sorted(gpus, key=lambda gpu: (-gpu.free, gpu.index))


def _tell_unseen_gpus() -> None:
    """Warn that the CPU computes where the machine has GPUs that PyTorch cannot use.

    Raises UserError where SLURM has given this job a GPU, for which others wait.
    """
    version = f"PyTorch {torch.__version__} with CUDA {torch.version.cuda or 'left out'}"
    if given := os.environ.get("SLURM_JOB_GPUS"):
        raise UserError(
            f"SLURM gave this job the GPU {given}, and {version} can use none. Compare the node's driver "
            "(`nvidia-smi`) with this CUDA. To compute on the CPU all the same, write training.device: cpu, and ask "
            "for no GPU (`--set-resources train:gpu=0`)."
        )
    if there := len(_nvidia_smi()):
        logger.warning("nvidia-smi shows %s, and %s can use none: the CPU computes.", counted(there, "GPU"), version)


def _visible_gpus() -> list[Gpu]:
    """List the GPUs that CUDA_VISIBLE_DEVICES leaves."""
    memory = _nvidia_smi()
    uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    return [Gpu(index, uuid, *memory.get(uuid, (0, 0))[:2]) for index, uuid in enumerate(uuids)]


def _nvidia_smi() -> dict[str, tuple[int, int, str]]:
    """Return free and all memory in bytes and driver version by UUID; nothing where the program is not there.

    From nvidia-smi, because `torch.cuda.mem_get_info` would open a context, some 500 MB, on each GPU it looks at.
    """
    query = ["nvidia-smi", "--query-gpu=uuid,memory.free,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
        rows = [[cell.strip() for cell in line.split(",")] for line in lines]
        return {
            uuid.removeprefix("GPU-"): (int(free) * 2**20, int(total) * 2**20, driver)
            for uuid, free, total, driver in rows
        }
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
