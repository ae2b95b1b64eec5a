import shutil
import subprocess

import pytest

from lesionbench import provenance


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of three modules, of which the script `fit` needs two, one through the other."""
    package = tmp_path / "lesionbench"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '1'\n")
    (package / "outer.py").write_text('"""Doc."""\nfrom lesionbench import inner\n\ndef f(x):\n    return inner.g(x)\n')
    (package / "inner.py").write_text("def g(x):\n    return x + 1\n")
    (package / "other.py").write_text("y = 1\n")
    (tmp_path / "fit.py").write_text("with open('log'):\n    from lesionbench.outer import f\n    f(1)\n")
    monkeypatch.setattr(provenance, "LIBRARY", package)
    monkeypatch.setattr(provenance, "SCRIPTS", tmp_path)
    provenance._read_code.cache_clear()
    yield package
    provenance._read_code.cache_clear()


def digest_after(path, text):
    path.write_text(text)
    provenance._read_code.cache_clear()
    return provenance.code_digest("fit")


def test_a_statement_at_any_depth_changes_the_digest(library):
    before = provenance.code_digest("fit")
    assert digest_after(library / "inner.py", "def g(x):\n    return x + 2\n") != before
    assert digest_after(library / "inner.py", "def g(x):\n    return x + 1\n") == before


def test_comments_formatting_and_docstrings_do_not(library):
    before = provenance.code_digest("fit")
    text = '"""New."""\n\n\ndef g(x):  # why\n    """Add."""\n    return (x +\n            1)\n'
    assert digest_after(library / "inner.py", text) == before


def test_what_the_script_does_not_need_does_not_count(library):
    before = provenance.code_digest("fit")
    assert digest_after(library / "other.py", "y = 2\n") == before
    assert digest_after(library / "__init__.py", "__version__ = '2'\n") == before


def test_digests_are_the_same_wherever_the_checkout_lies(library, tmp_path, monkeypatch):
    before = provenance.code_digest("fit")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tmp_path, elsewhere, ignore=shutil.ignore_patterns("elsewhere"))
    monkeypatch.setattr(provenance, "LIBRARY", elsewhere / "lesionbench")
    monkeypatch.setattr(provenance, "SCRIPTS", elsewhere)
    assert provenance.code_digest("fit") == before


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
