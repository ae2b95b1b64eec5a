"""The order of the library's rooms: data flows one way, and the folders show it."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from lesionbench.experiment.digest import LIBRARY, PACKAGE, SCRIPTS

# An import goes down this list, never up.
ORDER = ["__main__", "cli", "report", "experiment", "evaluation", "segmentation", "training", "models", "data"]
BOTTOM = ["environment", "errors", "files", "logs", "words"]
HEAVY = {"torch", "numpy", "pandas", "matplotlib", "nibabel", "scipy", "timm", "segmentation_models_pytorch"}

MODULES = {
    ".".join(path.relative_to(SCRIPTS).with_suffix("").parts): path
    for path in sorted(LIBRARY.rglob("*.py"))
    if path.name != "__init__.py"
}


def room(module):
    """The position of a module's package in the order, the bottom last."""
    name = module.split(".")[1]
    return len(ORDER) if name in BOTTOM else ORDER.index(name)


def imports(module):
    """The library's modules that a module imports, at its top or inside a function."""
    nodes = ast.walk(ast.parse(MODULES[module].read_text()))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name in MODULES}


def test_every_module_lies_in_a_room():
    assert {module.split(".")[1] for module in MODULES} == {*ORDER, *BOTTOM}
    assert all(name.startswith(f"{PACKAGE}.") for name in MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_never_up(module):
    assert [name for name in imports(module) if room(name) < room(module)] == []


def test_imports_go_in_no_circle():
    assert list(TopologicalSorter({module: imports(module) for module in MODULES}).static_order())


def test_what_snakemake_imports_while_parsing_is_light():
    rules = (SCRIPTS.parent / "rules" / "common.smk").read_text()
    wanted = [line for line in rules.splitlines() if line.startswith(f"from {PACKAGE}")]
    code = "\n".join([*wanted, "import sys; print(*{name.partition('.')[0] for name in sys.modules})"])
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=True).stdout.split()
    assert wanted and PACKAGE in loaded and not HEAVY & set(loaded)
