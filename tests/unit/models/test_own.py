"""Which class an entry names, what code counts with it, and that no code runs that a user has not named."""

import shutil
import sys

import pytest

from lesionbench.errors import UserError
from lesionbench.models.entry import ModelEntry
from lesionbench.models.own import (
    OwnNetwork,
    describe_code,
    import_root,
    own_network,
    parse,
    plain_code,
    sources,
    trusted_entry,
)
from owned import entry_of, write_network


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("my nets/net-1.py:Net", OwnNetwork("my nets/net-1.py", "Net")),
        ("monai.networks.nets:BasicUNet", OwnNetwork("monai.networks.nets", "BasicUNet")),
        ("Unet", None),
        ("net.py", None),
        ("net.py:2", None),
        ("my-package:Net", None),
    ],
)
def test_a_class_is_named_after_its_file_or_module(architecture, expected):
    assert own_network(architecture) == expected


def test_the_files_are_all_that_is_imported_from_the_own_folder_at_any_depth(tmp_path):
    code = "def late():\n    from blocks.attention import gate\n\n\nimport helper, random, torch\n"
    path = write_network(tmp_path, code=code)
    for name, text in {
        "helper.py": "from lesionbench.models import unet\nimport net\n",
        "blocks/attention.py": "from . import parts\n",
        "blocks/parts.py": "",
        "blocks/apart.py": "",
        "random.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(sources(path)) == ["blocks/attention.py", "blocks/parts.py", "helper.py", "net.py"]


def test_the_imports_of_a_package_start_above_it(tmp_path):
    path = write_network(tmp_path / "nets" / "unets", code="from ..blocks import gate\nimport nets.heads\n")
    for name in ("nets/__init__.py", "nets/unets/__init__.py", "nets/blocks.py", "nets/heads.py"):
        (tmp_path / name).write_text("")
    assert import_root(path) == tmp_path
    found = ["nets/__init__.py", "nets/blocks.py", "nets/heads.py", "nets/unets/__init__.py", "nets/unets/net.py"]
    assert list(sources(path)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"def f(:\n", r"helper\.py, line 1: this is no Python \(invalid syntax\)"),
        (b"\xff\xfe", r"helper\.py.*: this is no Python"),
        (None, r"helper\.py: cannot be read"),
    ],
)
def test_a_file_that_is_no_python_is_told_with_its_line(text, said, tmp_path):
    if text:
        (tmp_path / "helper.py").write_bytes(text)
    with pytest.raises(UserError, match=said):
        parse(tmp_path / "helper.py")


def test_comments_formatting_and_docstrings_do_not_count(tmp_path):
    one = write_network(
        tmp_path, code='"""Doc."""\n\n\ndef f(x):\n    """Doc."""\n    return (x  # why\n        + 1)\n'
    )
    other = write_network(tmp_path, code="def f(x):\n    return x + 1\n", name="other.py")
    assert plain_code(one) == plain_code(other)
    assert plain_code(write_network(tmp_path, code="def f(x):\n    '''Alone.'''\n", name="alone.py")).endswith("pass")


def test_code_that_pip_has_installed_counts_by_its_version():
    own = own_network("monai.networks.nets:BasicUNet")
    assert own.files == {} and own.requirement == own.code[0] and own.requirement.startswith("monai==1.")
    assert own_network("yaml:Loader").requirement.lower().startswith("pyyaml==6")
    assert own_network("torch_net.none:Net").code == []


def test_code_on_the_path_that_pip_has_not_installed_counts_by_its_files(tmp_path, monkeypatch):
    path = write_network(tmp_path / "mine_on_path", name="__init__.py")
    monkeypatch.syspath_prepend(tmp_path)
    own = own_network("mine_on_path:Net")
    assert own.path == path and own.code == [str(path)] and list(own.files) == ["mine_on_path/__init__.py"]
    assert "mine_on_path" not in sys.modules


class TestTrust:
    """The run of a network whose file lies at `path`."""

    @pytest.fixture
    def path(self, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "helper.py").write_text("A = 1\n")
        return write_network(tmp_path / "mine", "class Net", "from helper import A\n\n\nclass Net")

    def test_a_record_alone_executes_nothing(self, path):
        entry = entry_of(path)
        with pytest.raises(UserError, match=rf"^run: .*executed here.*\n  --code {path}$"):
            trusted_entry(entry, describe_code(entry), (), "run")
        with pytest.raises(UserError, match="--code"):
            trusted_entry(entry, describe_code(entry), ["other.py"], "run")

    def test_a_network_of_the_library_asks_for_no_trust(self):
        assert describe_code(ModelEntry("Unet", "resnet18")) is None
        assert trusted_entry(ModelEntry("Unet", "resnet18"), None, (), "run") == ModelEntry("Unet", "resnet18")

    def test_what_the_user_names_is_executed_wherever_it_lies(self, path, tmp_path):
        entry, copy = entry_of(path, width=2), tmp_path / "copy"
        shutil.copytree(path.parent, copy)
        recorded = describe_code(entry)
        assert trusted_entry(entry, recorded, ["b.py", f"{copy}/net.py"], "run") == entry_of(copy / "net.py", width=2)
        assert trusted_entry(entry, recorded, None, "run") == entry

    @pytest.mark.parametrize("code", [None, "copy"])
    def test_code_that_has_changed_since_is_refused(self, path, code):
        entry, helper = entry_of(path), path.with_name("helper.py")
        recorded, code = describe_code(entry), code and [str(path)]
        helper.write_text("A = 1  # a comment\n")
        assert trusted_entry(entry, recorded, code, "run") == entry
        helper.write_text("A = 2\n")
        with pytest.raises(UserError, match=r"^run: helper\.py .*has changed since .*train again"):
            trusted_entry(entry, recorded, code, "run")

    def test_a_record_that_tells_nothing_of_its_code_is_refused(self, path):
        with pytest.raises(UserError, match="does not say"):
            trusted_entry(entry_of(path), None, [str(path)], "run")

    def test_a_package_is_trusted_by_its_name(self):
        entry = ModelEntry("monai.networks.nets:BasicUNet")
        recorded = describe_code(entry)
        assert recorded["requirement"].startswith("monai==")
        for name in ("monai", "monai.networks.nets"):
            assert trusted_entry(entry, recorded, [name], "run") == entry
        with pytest.raises(UserError, match=r"\n  --code monai\.networks\.nets$"):
            trusted_entry(entry, recorded, ["mon"], "run")
