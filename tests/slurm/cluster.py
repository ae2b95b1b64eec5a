"""A real SLURM of two nodes on this machine's loopback: no systemd, no cgroups, no accounting, counted GPUs.

Facts that cost time to find: a GPU needs a device file, any character device will do; the inner `srun` of Snakemake's
executor sees no SLURM_CONF, so /etc/slurm/slurm.conf has to be there; UNIX sockets allow a short path only.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import psutil

INSTALLED_CONF = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol")
PORT = 16817
NODES = 2
GPU_FILES = ("/dev/null", "/dev/zero")  # one GPU a node
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
DefMemPerCPU=100
MinJobAge=7200
KillWait=5
ReturnToService=2
PropagateResourceLimits=NONE
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
EnforcePartLimits=ALL
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=16 RealMemory=64000 Gres=gpu:1
PartitionName=cpu Nodes=n[1-{nodes}] Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=gpu Nodes=n[1-{nodes}] MaxTime=INFINITE PriorityTier=1
PartitionName=urgent Nodes=n[1-{nodes}] MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""


@dataclass(frozen=True)
class Job:
    """A job as `squeue` shows it; `what` is the rule and its wildcards, as Snakemake's executor notes them."""

    number: str
    state: str
    what: str


def missing() -> str | None:
    """Say why no cluster can be started here, or None."""
    if os.getuid():
        return "SLURM's daemons need root"
    absent = [program for program in PROGRAMS if not shutil.which(program, path=_path())]
    if absent:
        return f"{', '.join(absent)} missing; install slurmctld, slurmd, slurm-client and munge"
    if INSTALLED_CONF.exists() and not _left_over():
        return f"{INSTALLED_CONF} is there: this machine has a SLURM of its own"
    return None


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Run the cluster inside the block; `folder` is new and its path shorter than 70 characters."""
    host = socket.gethostname().partition(".")[0]
    ports = {"port": PORT, "first": PORT + 1, "last": PORT + NODES}
    for name in ("state", *(f"n{node}" for node in range(1, NODES + 1))):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, folder=folder, nodes=NODES, **ports))
    # A path of its own for each node, or two GPUs of one machine count as one.
    gres = [f"NodeName=n{node} Name=gpu File={file}" for node, file in enumerate(GPU_FILES, start=1)]
    (folder / "gres.conf").write_text("\n".join(["AutoDetect=off", *gres]) + "\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    if left := _left_over():
        _stop(left)
    INSTALLED_CONF.parent.mkdir(exist_ok=True)
    INSTALLED_CONF.unlink(missing_ok=True)
    INSTALLED_CONF.symlink_to(conf)
    munge = {"key-file": key, "seed-file": folder / "seed", "socket": folder / "munge.socket"}
    munge |= {"pid-file": folder / "munged.pid", "log-file": folder / "munged.log"}
    try:
        _start("munged", "--force", *(f"--{name}={path}" for name, path in munge.items()))
        _start("slurmctld", "-c", "-f", str(conf))
        for node in range(1, NODES + 1):
            _start("slurmd", "-N", f"n{node}", "-f", str(conf))
        _wait_until_nodes_work(folder)
        yield
    finally:
        _stop(folder)
        INSTALLED_CONF.unlink(missing_ok=True)


def ask(*command: str) -> str:
    """Return what a command of SLURM prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def queue() -> list[Job]:
    """Return the jobs that are pending or running."""
    rows = ask("squeue", "--noheader", "--format=%i|%T|%k").splitlines()
    return [Job(*row.split("|")) for row in rows]


def _left_over() -> Path | None:
    """Return the folder of a cluster whose tests were killed."""
    folder = INSTALLED_CONF.resolve().parent
    return folder if INSTALLED_CONF.is_symlink() and folder.is_relative_to(gettempdir()) else None


def _path() -> str:
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


def _start(program: str, *arguments: str) -> None:
    environment = {"PATH": _path(), "HOME": "/root", "LANG": "C.UTF-8"}
    done = subprocess.run(
        [program, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise RuntimeError(f"{program} did not start: {done.stdout}{done.stderr}")


def _wait_until_nodes_work(folder: Path) -> None:
    trial = ["srun", "-N", str(NODES), "--gpus-per-node=1", "--mem=10", "-t", "1", "true"]
    for _ in range(30):
        done = subprocess.run(trial, capture_output=True, text=True, timeout=60)
        if not done.returncode:
            return
        time.sleep(1)
    logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
    raise RuntimeError(f"No job runs on the cluster: {done.stderr}\n{logs}")


def _stop(folder: Path) -> None:
    """Cancel all jobs, stop the daemons and whatever a job has left."""
    for command in (["scancel", "--user=root"], ["scontrol", "shutdown"]):
        subprocess.run(command, capture_output=True, timeout=60, check=False)
        time.sleep(1)
    pids = [int(path.read_text()) for path in folder.glob("*.pid")]
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    left += [process for process in psutil.process_iter() if process.name() == "slurmstepd"]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in left:
            for one in [*_children(process), process]:
                _signal(one, number)
        psutil.wait_procs(left, timeout=5)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
