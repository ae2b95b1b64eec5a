import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ENVS = Path(__file__).parents[2] / "envs"
PIP_NAMES = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "seaborn-base": "seaborn",
    "huggingface_hub": "huggingface-hub",
}


def locked():
    """Versions by name, of the lock's lines that hold on Python 3.11."""
    lines = re.findall(r"^[a-z0-9][^\\\n]+", (ENVS / "lock.txt").read_text(), flags=re.MULTILINE)
    pins = [Requirement(line.strip()) for line in lines]
    python = {"python_version": "3.11", "python_full_version": "3.11.9"}
    return {
        pin.name: str(pin.specifier).removeprefix("==") for pin in pins if not pin.marker or pin.marker.evaluate(python)
    }


@pytest.mark.parametrize("path", sorted(ENVS.glob("*.yaml")), ids=lambda path: path.name)
def test_conda_pins_what_the_lock_pins(path):
    versions = locked()
    pins = dict(line.split("=") for line in yaml.safe_load(path.read_text())["dependencies"])
    assert pins.pop("python") == "3.11"
    for name, version in pins.items():
        assert version == versions[PIP_NAMES.get(name, name)], name


def test_the_lock_holds_hashes_and_no_addresses():
    text = (ENVS / "lock.txt").read_text()
    assert text.count("--hash=sha256:") >= len(locked())
    assert "://" not in text
