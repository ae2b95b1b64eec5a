import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from lesionbench.experiment import digest
from lesionbench.report.catalogue import FIGURES

ENVS = Path(__file__).parents[2] / "envs"
RULES = digest.SCRIPTS.parent / "rules"
PIP_NAMES = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "seaborn-base": "seaborn",
    "huggingface_hub": "huggingface-hub",
    "python-isal": "isal",
}
# Conda's name of what is imported, where it is another one.
CONDA_NAMES = {
    "SimpleITK": "simpleitk",
    "isal": "python-isal",
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "torch": "pytorch",
    "yaml": "pyyaml",
}
# What our code needs and does not import: pandas reads the registry's .xlsx with openpyxl, timm imports torchvision,
# the external method `threshold` finds lungs with scipy.
INDIRECT = {"imaging": {"openpyxl"}, "report": set(), "torch": {"torchvision", "scipy"}}
# What is imported where an option of the command or `training.log` asks for it.
OPTIONAL = {"highdicom", "mlflow"}


def locked():
    """Versions by name, of the lock's lines that hold on Python 3.11."""
    lines = re.findall(r"^[a-z0-9][^\\\n]+", (ENVS / "lock.txt").read_text(), flags=re.MULTILINE)
    pins = [Requirement(line.strip()) for line in lines]
    python = {"python_version": "3.11", "python_full_version": "3.11.9"}
    return {
        pin.name: str(pin.specifier).removeprefix("==") for pin in pins if not pin.marker or pin.marker.evaluate(python)
    }


def dependencies(path):
    """Versions by name of a conda environment."""
    return dict(line.split("=") for line in yaml.safe_load(path.read_text())["dependencies"])


def scripts_of(environment):
    """The modules that the rules with an environment start from: scripts, and the figures that `plot` finds by name."""
    pattern = r"conda:\s+\S+/(\w+)\.yaml\"(?:(?!^rule|^    rule).)*?script:\s+\S+/(\w+)\.py"
    text = "\n".join(path.read_text() for path in RULES.glob("*.smk"))
    scripts = [script for name, script in re.findall(pattern, text, re.DOTALL | re.MULTILINE) if name == environment]
    modules = [digest._Module(digest.SCRIPTS / f"{script}.py", digest.SCRIPTS) for script in scripts]
    if "plot" in scripts:
        modules += [
            unit[0] for figure in FIGURES.values() for name in figure.code for unit in digest._find_further(name)
        ]
    return modules


def third_party(modules):
    """The packages that modules import, and the library's modules that they import; not those for types alone."""
    todo, seen, found = list(modules), set(), set()
    while todo:
        module = todo.pop()
        if module in seen or not module.path.is_file():
            continue
        seen.add(module)
        body = ast.parse(module.path.read_text()).body
        skipped = [node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
        if module.path.name == "__init__.py":  # what users call in Python, no script does
            skipped += [node for node in body if isinstance(node, ast.FunctionDef)]
        for name in digest._imports(module, [node for node in body if node not in skipped])[1]:
            parts = name.split(".")
            if parts[0] == digest.PACKAGE:
                inner = [module.find(".".join(parts[:depth])) for depth in range(1, len(parts) + 1)]
                todo += [part for part in inner if part]
            else:
                found.add(parts[0])
    return found - sys.stdlib_module_names - OPTIONAL


@pytest.mark.parametrize("environment", sorted(INDIRECT))
def test_a_conda_environment_holds_what_the_scripts_of_its_rules_import_and_no_more(environment):
    needed = {CONDA_NAMES.get(name, name) for name in third_party(scripts_of(environment))}
    assert dependencies(ENVS / f"{environment}.yaml").keys() == {"python", *needed, *INDIRECT[environment]}


def test_each_script_has_an_environment():
    assert {path.stem for path in ENVS.glob("*.yaml")} == INDIRECT.keys()
    started = {module.path for environment in INDIRECT for module in scripts_of(environment)}
    assert started >= set(digest.SCRIPTS.glob("*.py"))


@pytest.mark.parametrize("path", sorted(ENVS.glob("*.yaml")), ids=lambda path: path.name)
def test_conda_pins_what_the_lock_pins(path):
    versions = locked()
    pins = dependencies(path)
    assert pins.pop("python") == "3.11"
    for name, version in pins.items():
        assert version == versions[PIP_NAMES.get(name, name)], name


def test_the_lock_holds_hashes_and_no_addresses():
    text = (ENVS / "lock.txt").read_text()
    assert text.count("--hash=sha256:") >= len(locked())
    assert "://" not in text


def test_a_set_up_for_the_cpu_leaves_out_what_only_gpus_need(repository):
    command = ["make", "--dry-run", "--assume-new=pyproject.toml", "setup", "TORCH=cpu"]
    said = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    filtered = re.search(r"^awk '.*?' envs/lock\.txt", said, flags=re.MULTILINE)[0]
    kept = subprocess.run(filtered, shell=True, cwd=repository, capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"^([a-z0-9-]+)==", kept, flags=re.MULTILINE))
    gone = set(re.findall(r"^([a-z0-9-]+)==", (ENVS / "lock.txt").read_text(), flags=re.MULTILINE)) - names
    assert {"torch", "torchvision", "triton"} <= gone and {"numpy", "timm"} <= names
    assert all(name.startswith(("cuda-", "nvidia-")) for name in gone - {"torch", "torchvision", "triton"})
    assert not any(name.startswith(("cuda-", "nvidia-")) for name in names)
    assert kept.count("--hash=sha256:") >= len(names)
    pins = re.search(r"sed -nE .*? envs/lock\.txt", said)[0]
    found = subprocess.run(pins, shell=True, cwd=repository, capture_output=True, text=True, check=True).stdout.split()
    assert found == [f"{name}=={locked()[name]}+cpu" for name in ("torch", "torchvision")]


def test_the_image_has_the_python_and_the_packages_of_the_lock():
    image = (ENVS.parent / "Dockerfile").read_text()
    assert f"FROM python:{dependencies(ENVS / 'torch.yaml')['python']}-slim" in image
    assert "--require-hashes --requirement envs/lock.txt" in image


def test_ci_solves_every_conda_environment_and_calls_the_gate():
    jobs = yaml.safe_load((ENVS.parent / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert sorted(jobs["conda"]["strategy"]["matrix"]["environment"]) == sorted(
        path.stem for path in ENVS.glob("*.yaml")
    )
    assert jobs["gate"]["steps"][-1]["run"] == "bash .ci/run"
