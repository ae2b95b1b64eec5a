"""The order of the library's packages: imports go one way; tests are in the same folders as modules."""

import ast
import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.split import Split
from lesionbench.data.studies import DataSet, Phantom
from lesionbench.environment import LIBRARY, PACKAGE, SCRIPTS
from lesionbench.evaluation.scoring import Scoring
from lesionbench.experiment.config import read_schema
from lesionbench.models.entry import ModelEntry
from lesionbench.training.recipe import Recipe

# An import goes down this list, never up.
ORDER = [
    "__main__",
    "cli",
    "commands",
    "capsule",
    "report",
    "experiment",
    "evaluation",
    "segmentation",
    "training",
    "models",
    "data",
]
BOTTOM = ["environment", "errors", "files", "logs", "progress", "schema", "words"]
# A declaration, and a line that calls `cli.main`.
UNTESTED = {"errors", "__main__"}
# The tests of this order, of the environments, the benchmarks, the docs, the fuzz, and the captions in workflow/report.
WITHOUT_MODULE = {"packages", "environments", "benchmarks", "docs", "fuzz", "report/captions"}
TESTS = Path(__file__).parents[1]
HEAVY = {"torch", "numpy", "pandas", "matplotlib", "nibabel", "scipy", "timm", "segmentation_models_pytorch"}
HEAVY |= {"SimpleITK", "pydicom", "tensorboard", "mlflow"}

MODULES = {
    ".".join(path.relative_to(SCRIPTS).with_suffix("").parts): path
    for path in sorted(LIBRARY.rglob("*.py"))
    if path.name != "__init__.py"
}


def level(module):
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


def test_every_module_is_in_a_package_of_the_order():
    assert {module.split(".")[1] for module in MODULES} == {*ORDER, *BOTTOM}
    assert all(name.startswith(f"{PACKAGE}.") for name in MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_never_up(module):
    assert [name for name in imports(module) if level(name) < level(module)] == []


def test_imports_go_in_no_circle():
    assert list(TopologicalSorter({module: imports(module) for module in MODULES}).static_order())


def test_what_snakemake_imports_while_parsing_is_light():
    rules = (SCRIPTS.parent / "rules" / "common.smk").read_text()
    wanted = [line for line in rules.splitlines() if line.startswith(f"from {PACKAGE}")]
    code = "\n".join([*wanted, "import sys; print(*{name.partition('.')[0] for name in sys.modules})"])
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=True).stdout.split()
    assert wanted and PACKAGE in loaded and not HEAVY & set(loaded)


def test_each_module_has_its_test_file_and_each_test_file_its_module():
    unit = TESTS / "unit"
    modules = {path.relative_to(LIBRARY).with_suffix("").as_posix() for path in MODULES.values()}
    tested = {
        path.with_name(path.name.removeprefix("test_")).relative_to(unit).with_suffix("").as_posix()
        for path in unit.rglob("test_*.py")
    }
    assert tested - WITHOUT_MODULE == modules - UNTESTED
    assert tested >= WITHOUT_MODULE and modules >= UNTESTED


def test_no_two_test_files_have_one_name():
    # pytest imports them by their names alone.
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_test_imports_from_a_test():
    for path in TESTS.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert not any(part.startswith("test_") for name in names for part in name.split(".")), path


SECTIONS = read_schema()["properties"] | {"phantom": read_schema()["$defs"]["phantom"]}


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ("phantom", Phantom),
        ("preprocessing", Preprocessing),
        ("split", Split),
        ("training", Recipe),
        ("evaluation", Scoring),
    ],
)
def test_a_section_of_the_configuration_has_the_keys_and_defaults_of_its_dataclass(section, settings):
    rules = SECTIONS[section]["properties"]
    defaults = json.loads(json.dumps(asdict(settings())))
    # Where its history goes too is no part of how a network is trained.
    beside = {"log"} if settings is Recipe else set()
    assert {name: rule["default"] for name, rule in rules.items() if name not in beside} == defaults


def test_a_models_entry_has_the_keys_that_decide_its_network():
    rules = read_schema()["$defs"]["model"]["properties"]
    entry = asdict(ModelEntry("Unet"))
    others = {"label", "predictions", "external_predictions", "members", "training", "preprocessing", "evaluation"}
    others |= {"method", "command", "seeded", "gpu", "sweep"}
    assert entry.keys() == rules.keys() - others
    assert entry == {"architecture": "Unet", "encoder": None, "encoder_weights": None, "options": {}}
    assert not any("default" in rules[name] for name in entry)


def test_the_data_set_has_the_keys_and_defaults_of_where_studies_lie():
    rules = read_schema()["properties"]["dataset"]["properties"]
    fields = {name: default for name, default in asdict(DataSet()).items() if name != "key"}
    assert {name: rules[name]["default"] for name in fields} == fields
