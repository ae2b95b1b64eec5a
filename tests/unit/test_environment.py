import os
import subprocess
import sys

import pytest

from lesionbench import environment
from lesionbench.errors import UserError


def test_git_commit_tells_a_changed_checkout(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    monkeypatch.setattr(environment, "SCRIPTS", tmp_path)
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "a")
    commit = environment.git_commit()
    assert commit and len(commit) == 40
    (tmp_path / "a").write_text("2")
    assert environment.git_commit() == f"{commit}-dirty"


def test_environment_names_the_packages_that_decide_a_number():
    packages = environment.environment()["packages"]
    assert packages["torch"] and packages["numpy"]


def test_a_fetched_workflow_has_its_commit_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "SCRIPTS", tmp_path)
    (tmp_path / "commit").write_text("0123abcd")
    assert environment.git_commit() == "0123abcd"


def test_outside_of_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "SCRIPTS", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.git_commit() is None


def test_processes_import_the_library_of_this_checkout_first(monkeypatch):
    ours = str(environment.SCRIPTS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/elsewhere", ours, ""]))
    environment.prefer_this_checkout()
    environment.prefer_this_checkout()
    assert os.environ["PYTHONPATH"] == os.pathsep.join([ours, "/elsewhere"])


def test_an_interpreter_that_a_shell_would_take_apart_is_called_by_its_name(tmp_path, monkeypatch):
    folder = tmp_path / "My Project (1)" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", os.environ["PATH"])
    environment.prefer_this_python()
    command = f"command -v {sys.executable}"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert found.strip() == str(folder / "python")


def test_a_plain_interpreter_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/venv/bin/python3.12")
    before = os.environ["PATH"]
    environment.prefer_this_python()
    assert (sys.executable, os.environ["PATH"]) == ("/opt/venv/bin/python3.12", before)


def test_a_folder_that_path_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/my project: one/bin/python")
    with pytest.raises(UserError, match="Move the checkout"):
        environment.prefer_this_python()
