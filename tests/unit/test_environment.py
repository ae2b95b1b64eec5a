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
