import os
import subprocess

from lesionbench import environment


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
