"""External methods: what their descriptions say, and what is called."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from lesionbench.errors import UserError
from lesionbench.models import programs
from lesionbench.models.programs import DESCRIPTION, METHODS, PROGRAM, Program, split_command

NAMES = sorted(path.parent.name for path in METHODS.glob(f"*/{DESCRIPTION}"))


@pytest.fixture
def methods(tmp_path, monkeypatch):
    """A folder of methods with one, `mine`, that has an environment of its own."""
    monkeypatch.setattr(programs, "METHODS", tmp_path / "methods")
    monkeypatch.setattr(programs, "CHECKOUT", tmp_path / "checkout")
    monkeypatch.chdir(tmp_path)
    programs._description.cache_clear()
    folder = tmp_path / "methods" / "mine"
    (folder / "inner").mkdir(parents=True)
    for name in (PROGRAM, "inner/part.py", "README.md"):
        (folder / name).touch()
    options = {"steps": {"type": "integer", "default": 3}}
    described = {"seeded": False, "gpu": True, "threads": 2, "environment": True, "options": options}
    (folder / DESCRIPTION).write_text(json.dumps(described))
    yield folder
    programs._description.cache_clear()


def test_the_shipped_methods_are_described_and_have_a_page_and_a_program():
    assert {"empty", "nnunet", "threshold"} <= set(NAMES)
    for name in NAMES:
        program = Program.of({"method": name})
        assert all((METHODS / name / file).is_file() for file in (PROGRAM, "README.md")), name
        assert (METHODS / name / "requirements.txt").is_file() == program.environment, name
        for option, rule in program.options.items():
            Draft202012Validator.check_schema(rule)
            assert "default" in rule and rule["description"].endswith("."), (name, option)


def test_a_method_is_what_its_description_says(methods):
    program = Program.of({"method": "mine"})
    assert program == Program("mine", (str(methods / PROGRAM),), False, True, 2, environment=True)
    assert program.options["steps"]["default"] == 3
    assert program.files == [methods / "inner" / "part.py", methods / PROGRAM]


def test_an_unknown_method_is_named_with_the_nearest_one(methods):
    with pytest.raises(UserError, match=r"there is no method minne in .*methods\. Did you mean mine\?"):
        Program.of({"method": "minne"})


@pytest.mark.parametrize("place", ["checkout", "."])
def test_a_method_with_an_environment_runs_by_the_interpreter_there(methods, tmp_path, place):
    interpreter = tmp_path / place / ".venv-mine" / "bin" / "python"
    with pytest.raises(UserError, match=r"no .*checkout/\.venv-mine/bin/python\. Make it:\n  make method-mine"):
        Program.of({"method": "mine"}).full_command  # noqa: B018
    interpreter.parent.mkdir(parents=True)
    interpreter.touch()
    assert Program.of({"method": "mine"}).full_command == [str(interpreter), str(methods / PROGRAM)]


def test_a_method_without_an_environment_runs_by_this_interpreter():
    assert Program.of({"method": "empty"}).full_command == [sys.executable, str(METHODS / "empty" / PROGRAM)]


def test_the_python_of_a_command_is_the_one_that_runs_the_workflow(tmp_path, monkeypatch):
    for folder in ("elsewhere", "here"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "python").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "here" / "python3.11"))
    program = Program.of({"command": "python tool.py"})
    assert program.full_command == [str(tmp_path / "here" / "python"), "tool.py"]


@pytest.mark.parametrize("command", ["my 'own tool.py' --epochs 3", ["my", "own tool.py", "--epochs", "3"]])
def test_a_command_is_split_as_in_a_shell_or_given_in_words(command):
    assert split_command(command) == ("my", "own tool.py", "--epochs", "3")


def test_the_code_of_a_command_is_each_file_that_it_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("tool.py", "weights.pt", "python"):
        Path(name).touch()
    assert Program.of({"command": "python tool.py weights.pt --x"}).files == [Path("tool.py"), Path("weights.pt")]
    assert Program.of({"command": "./tool.py"}).files == [Path("tool.py")]


def test_a_command_says_itself_whether_it_is_seeded_and_needs_a_gpu():
    assert Program.of({"command": "a"}) == Program(None, ("a",), seeded=True, gpu=False)
    assert Program.of({"command": "a", "seeded": False, "gpu": True}) == Program(None, ("a",), seeded=False, gpu=True)


def test_a_command_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"no program no-such-tool to call. Correct `command`: a path is relative"):
        Program.of({"command": "no-such-tool x"}).full_command  # noqa: B018


def test_the_threshold_is_the_range_of_the_highest_mean_dice():
    method = runpy.run_path(str(METHODS / "threshold" / PROGRAM))
    random, edges, studies = np.random.default_rng(0), method["EDGES"], []
    for _ in range(3):
        hu, lesion = random.uniform(-1000, 200, 2000), random.random(2000) < 0.05
        hu[lesion] = random.normal(-400, 120, lesion.sum()).clip(-1000, 199)
        outside = 7  # lesion voxels beside the lungs, which no range reaches
        studies.append((hu, lesion, outside))
    counts = [
        (np.histogram(hu, edges)[0], np.histogram(hu[lesion], edges)[0], int(lesion.sum()) + outside)
        for hu, lesion, outside in studies
    ]

    def mean_dice(low, high):
        dice = []
        for hu, lesion, outside in studies:
            predicted = (hu >= low) & (hu < high)
            dice.append(2 * (predicted & lesion).sum() / (predicted.sum() + lesion.sum() + outside))
        return np.mean(dice)

    low, high, dice = method["best_range"](counts)
    best = max(mean_dice(start, end) for start in edges for end in edges if start < end)
    assert dice == pytest.approx(best) == mean_dice(low, high) and -600 < low < high < -200
