"""One job of an external method: what it learns from is handed over, its program runs, its masks are taken."""

import os
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from lesionbench.environment import SCRIPTS, environment
from lesionbench.errors import UserError
from lesionbench.models.programs import Program
from lesionbench.segmentation.takeover import read_left_record, take_masks
from lesionbench.training.folder_lock import held_lock
from lesionbench.training.handover import HandedStudy, JobFolder, end_job, offered_device, prepare_job
from lesionbench.training.program import run_program
from lesionbench.training.runfile import RECORD, write_record

FOLDER = "program"  # beside the record


@dataclass(frozen=True)
class Request:
    """What is asked of a program; key: its section of the configuration; code: what stands for the program's files."""

    key: str
    program: Program
    code: Any
    options: Mapping[str, Any]
    fold: int
    seed: int
    threads: int
    device: str
    probabilities: bool

    @property
    def decided(self) -> dict[str, Any]:
        """What job.json says beside the folders; the device follows when it is held."""
        names = ("options", "fold", "seed", "threads", "probabilities")
        return {name: getattr(self, name) for name in names}


def run_method(
    request: Request, studies: Sequence[HandedStudy], folder: Path, targets: Mapping[str, str | Path]
) -> None:
    """Run a program on the studies of a fold; write its masks to the folder of each subset, and the record to `folder`.

    Raises UserError, naming the model's section of the configuration, where the program is not there or fails
    (`program.run_program`), or where what it leaves cannot be taken (`takeover.take_masks`).
    """
    try:
        command = request.program.full_command
    except UserError as error:
        raise UserError(f"{request.key}: {error}") from None
    files = JobFolder(folder / FOLDER)
    with held_lock(files.lock) as lock, offered_device(request.device) as (device, shown):
        asked = {**request.decided, "device": device["type"]}
        hashes = prepare_job(files, studies, asked, request.code)
        started = perf_counter()
        run_program([*command, str(files.job.absolute())], lock, _environment(request, shown), request.key)
        seconds = perf_counter() - started
        for subset, target in targets.items():
            own = [study for study in studies if study.subset == subset]
            take_masks(request.key, own, files.output / subset, Path(target))
        record = {
            "method": request.program.method,
            "command": list(request.program.command) if not request.program.method else None,
            **asked,
            "device": device,
            "seconds": round(seconds, 3),
            "peak_host_memory_bytes": _peak_memory(),
            "program": read_left_record(request.key, files.output / "record.json"),
            "program_code": request.code,
            "inputs_sha256": hashes,
            "environment": environment(),
        }
        write_record(record, folder / RECORD)
        end_job(files)


def _environment(request: Request, shown: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a program: the library is for our own methods, not for others' Pythons."""
    given = {**os.environ, **shown, "OMP_NUM_THREADS": str(request.threads)}
    if not request.program.method:
        others = [path for path in given.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(SCRIPTS))]
        given["PYTHONPATH"] = os.pathsep.join(others)
    return given


def _peak_memory() -> int:
    """Return the largest memory in bytes of any process that the program started."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
