"""Copies of the checkout in which Snakemake runs as a user would run it, and the smallest experiment."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

TINY = {
    "dataset": {"phantom": {"studies": 6, "annotated": 5, "size": 32, "slices": [6, 8], "seed": 0}},
    "preprocessing": {"plane": "axial"},
    "training": {"max_epochs": 1, "device": "cpu", "learning_rate": 0.001},
    "models": {
        "small": {
            "label": "Small {U-Net} & <b>50%</b> $x$ *y* |z|",
            "architecture": "classic-unet",
            "options": {"width": 4},
        },
        "mobile": {"label": "MobileNetV2", "architecture": "Unet", "encoder": "mobilenet_v2", "encoder_weights": None},
    },
    "compare": ["small", "mobile"],
    "evaluation": {"resamples": 200},
    "figures": {"formats": ["png"]},
    "reference_results": None,
    "pathvars": {"results": "results/tiny", "logs": "logs/tiny"},
}


def merged(base, overlay):
    """Return `base` with `overlay` merged in as Snakemake merges configuration files."""
    both = dict(base)
    for key, value in overlay.items():
        both[key] = merged(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository, and the interpreter that runs Snakemake there."""

    folder: Path
    python: str = sys.executable

    def snakemake(self, *arguments: str, config: dict | None = None, check: bool = True) -> str:
        """Run Snakemake with the tiny experiment, changed by `config`; return all that it printed.

        On one core, because tests run side by side.
        """
        overlay = self.folder / "overlay.yaml"
        overlay.write_text(yaml.safe_dump(merged(TINY, config or {}), sort_keys=False))
        command = [self.python, "-m", "snakemake", "--configfile", overlay.name, "--cores", "1", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} failed:\n{done.stdout[-6000:]}")
        return done.stdout

    def would_run(self, **changes) -> dict[str, int]:
        """Return how many jobs of each rule a dry run lists after the experiment has changed."""
        output = self.snakemake("--dry-run", config=changes)
        stats = re.search(r"^job +count\n[- ]+\n(.*?)^total ", output, flags=re.MULTILINE | re.DOTALL)
        if not stats:
            assert "Nothing to be done" in output, output
            return {}
        jobs = {rule: int(count) for rule, count in (line.split() for line in stats[1].splitlines())}
        jobs.pop("all", None)
        return jobs


def copy_checkout(repository: Path, folder: Path) -> Checkout:
    """Copy what git tracks, and what it would track, to `folder`; modification times are new, as in a clone."""
    listed = subprocess.run(
        ["git", "-C", str(repository), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (repository / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, folder / name)
    return Checkout(folder)
