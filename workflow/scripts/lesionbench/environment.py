"""What made a result: the versions, the commit and the machine."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from lesionbench import __version__
from lesionbench.errors import UserError

LIBRARY = Path(__file__).parent
SCRIPTS = LIBRARY.parent
PACKAGE = LIBRARY.name
# Schemas, captions, templates and methods, and above them the presets: a wheel has them inside the package.
IS_CHECKOUT = not (LIBRARY / "workflow").is_dir()
WORKFLOW = SCRIPTS.parent if IS_CHECKOUT else LIBRARY / "workflow"
CHECKOUT = WORKFLOW.parent
PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "nibabel", "numpy", "scipy", "pandas")


def prefer_this_checkout() -> None:
    """Make the processes that this one starts import the library beside this file, even if another is installed."""
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(SCRIPTS))]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SCRIPTS), *others])


def prefer_this_python() -> None:
    """Let scripts start with this interpreter also where its path holds a space, a bracket or the like.

    Snakemake writes `sys.executable` into shell commands without quotes (source: `PythonScript.execute_script` in
    snakemake.script, `get_python_executable` of its executors). Its bare name, found by PATH, needs none. Raises
    UserError where PATH cannot hold its folder.
    """
    if sys.executable == shlex.quote(sys.executable):
        return
    folder, name = os.path.split(sys.executable)
    if os.pathsep in folder:
        raise UserError(
            f"{sys.executable}: Snakemake cannot start scripts with an interpreter below a folder with '{os.pathsep}' "
            "in its name. Move the checkout and its environment to a folder without it."
        )
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    sys.executable = name


def environment() -> dict[str, object]:
    """Return the versions, the git commit, the machine and the time, for a run's record."""
    return {
        PACKAGE: __version__,
        "python": platform.python_version(),
        "packages": {name: installed_version(name) for name in PACKAGES},
        "git_commit": git_commit(),
        "platform": platform.platform(),
        "host": platform.node(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git_commit() -> str | None:
    """Return the commit of the workflow's checkout, with `-dirty` where tracked files differ, or None outside git.

    Where Snakemake has fetched the workflow from a hosted repository, the rules have left the commit in a file.
    """
    fetched = SCRIPTS / "commit"
    if fetched.is_file():
        return fetched.read_text(encoding="utf-8")
    command = ["git", "-C", str(SCRIPTS), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def installed_version(package: str) -> str | None:
    """Return the version of a package without importing it, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
