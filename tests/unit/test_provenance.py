import subprocess

from lesionbench import provenance


def test_git_commit_tells_a_changed_checkout(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    monkeypatch.setattr(provenance, "SCRIPTS", tmp_path)
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "a")
    commit = provenance.git_commit()
    assert commit and len(commit) == 40
    (tmp_path / "a").write_text("2")
    assert provenance.git_commit() == f"{commit}-dirty"


def test_environment_names_the_packages_that_decide_a_number():
    environment = provenance.environment()
    assert environment["packages"]["torch"] and environment["packages"]["numpy"]
