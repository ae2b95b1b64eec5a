"""What is found of an own network while Snakemake parses: by syntax trees, without executing anything."""

import re

import pytest

from lesionbench.models import declared
from lesionbench.models.declared import Parameters, find_parameters, find_problem, without_class
from lesionbench.models.own import OwnNetwork
from owned import CLASS, write_network


def problem(path, name="Net"):
    return find_problem(OwnNetwork(str(path), name))


def parameters(path, name="Net"):
    return find_parameters(OwnNetwork(str(path), name))


def test_nothing_is_executed(tmp_path):
    path = write_network(tmp_path, code=f"raise SystemExit(3)\n\n\n{CLASS}")
    assert problem(path) == "" and parameters(path) == Parameters(("in_channels", "classes", "width"), ())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class Net(", "class Nett(", r"net.py has no class Net. Write, for example:\n  architecture: .*/net.py:Nett$"),
        (CLASS, "A = 1\n", r"has no class Net. Define it there"),
        ("class Net(nn.Module):", "def Net():", "Net in .* is a function. Name a class that is a torch.nn.Module"),
        ("__init__(self", "__init__(self,, ", r"net\.py, line 7: this is no Python \(invalid syntax\)"),
    ],
)
def test_a_class_that_cannot_be_there_is_told(old, new, said, tmp_path):
    path = write_network(tmp_path, old, new)
    assert re.search(said, problem(path))


def test_a_helper_that_is_no_python_is_told(tmp_path):
    path = write_network(tmp_path, "class Net(", "import helper\n\n\nclass Net(")
    (tmp_path / "helper.py").write_text("def f(\n")
    assert problem(path).startswith(f"{tmp_path}/helper.py, line 1: this is no Python")


def test_a_missing_file_or_module_is_told(tmp_path, monkeypatch):
    assert problem(tmp_path / "net.py").startswith(f"there is no file {tmp_path}/net.py. Correct the path, which is")
    monkeypatch.chdir(tmp_path)
    write_network(tmp_path / "nets")
    for where, line in (("nets.net", "nets/net.py:Net"), ("nets.none", "path/to/file.py:Net")):
        found = problem(where)
        assert f"there is no module {where} here" in found and found.endswith(f"\n  architecture: {line}")
    monkeypatch.setattr(declared, "installed_version", lambda package: None)
    assert problem("nets.net") == ""  # the jobs have environments of their own


def test_a_file_without_its_class_gets_a_line_with_one(tmp_path):
    path = write_network(tmp_path)
    assert without_class(str(path)).endswith(f"{path}:Net")
    assert without_class("none.py").endswith("none.py:Class")


@pytest.mark.parametrize(
    "code",
    [
        f"{CLASS}\n\nOther = Net\n",
        "if True:\n    try:\n        from parts.blocks import Other\n    except ImportError:\n        raise\n",
        "from parts.blocks import Inner as Other\n",
        "from parts import Other\n",
        f"{CLASS}\n\nclass Other(Net):\n    pass\n",
    ],
)
def test_a_class_is_found_through_names_imports_and_bases(code, tmp_path):
    path = write_network(tmp_path, code=code)
    write_network(tmp_path / "parts", "class Net", "class Inner", f"{CLASS}\n\nOther = Net\n", "blocks.py")
    write_network(tmp_path / "parts", code=f"{CLASS}\n\nOther = Inner = Net\n", name="blocks.py")
    (tmp_path / "parts" / "__init__.py").write_text("from .blocks import Other\n")
    assert problem(path, "Other") == ""
    assert parameters(path, "Other") == Parameters(("in_channels", "classes", "width"), ())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("class Net", "@decorated\nclass Net"),
        ("    def __init__", "    @decorated\n    def __init__"),
        ("width=4", "**options"),
        ("(nn.Module)", "(nn.Module, metaclass=Made)"),
        (CLASS, "class Net(Unknown):\n    pass\n"),
        (CLASS, "from torch.nn import Conv2d as Net\n"),
        (CLASS, "from blocks import *\n"),
        (CLASS, "globals()['Net'] = nn.Conv2d\n"),
        (CLASS, "def __getattr__(name):\n    return nn.Conv2d\n"),
        (CLASS, "Net = make()\n"),
        (CLASS, "Net = Other\nOther = Net\n"),
    ],
)
def test_what_a_tree_does_not_tell_is_left_to_the_trial(old, new, tmp_path):
    path = write_network(tmp_path, old, new)
    assert problem(path) == "" and parameters(path) is None


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("self, a, b=1, *, c, d=2", Parameters(("a", "b", "c", "d"), ("a", "c"))),
        ("self", Parameters((), ())),
    ],
)
def test_arguments_without_a_default_are_required(signature, expected, tmp_path):
    assert parameters(write_network(tmp_path, "self, in_channels=1, classes=1, width=4", signature)) == expected


def test_a_class_without_a_constructor_takes_nothing(tmp_path):
    path = write_network(tmp_path, code="class Net(nn.Module):\n    pass\n")
    assert parameters(path) == Parameters((), ())


@pytest.mark.parametrize("name", ["BasicUNet", "SegResNet", "AttentionUnet"])
def test_classes_of_a_package_are_found_without_importing_it(name):
    own = OwnNetwork("monai.networks.nets", name)
    assert find_problem(own) == "" and {"spatial_dims", "out_channels"} <= set(find_parameters(own).names)
    assert "has no class BasicUNetts" in problem("monai.networks.nets", "BasicUNetts")
