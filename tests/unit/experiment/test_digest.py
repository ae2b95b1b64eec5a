import shutil
from pathlib import Path

import pytest

from lesionbench.experiment import digest

SOURCES = {
    "fit.py": """
        with open("log"):
            from lesionbench.logs import job_log
            from lesionbench.training.loop import train
            train(1)
    """,
    "lesionbench/__init__.py": "__version__ = '1'\n",
    "lesionbench/errors.py": "class UserError(Exception):\n    pass\n",
    "lesionbench/logs.py": "import logging\n\ndef job_log():\n    return 1\n",
    "lesionbench/environment.py": "def environment():\n    return {}\n",
    "lesionbench/words.py": "def counted(n):\n    return str(n)\n",
    "lesionbench/training/__init__.py": "",
    "lesionbench/training/loop.py": '''
        """Doc."""
        import logging
        from math import floor

        from lesionbench import data
        from lesionbench.errors import UserError
        from lesionbench.environment import environment
        from lesionbench.words import counted

        from . import recipe
        from .loss import EPSILON as SMALL

        logger = logging.getLogger(__name__)
        HINT = "Lower it."

        def train(x: int) -> float:
            """Doc."""
            logger.info("training %s", x)
            if x < 0:
                raise UserError(f"{counted(x)}: below zero. {HINT}")
            return data.volume.read(floor(x)) + SMALL + recipe.RATE + len(environment())

        def unused():
            return other()

        def other():
            return 1
    ''',
    "lesionbench/training/loss.py": "EPSILON = 1\n\ndef dice_loss(x):\n    return x\n",
    "lesionbench/training/recipe.py": "RATE = 0.1\n",
    "lesionbench/data/__init__.py": "from . import volume\n",
    "lesionbench/data/volume.py": """
        import json

        style = {}
        style.update(a=1)

        def read(path):
            return _scale(path)

        def _scale(x):
            return 2 * x

        def write(path):
            return json.dumps(path)
    """,
}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = text.strip("\n").split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    path.write_text("\n".join(line[indent:] for line in lines).rstrip() + "\n")


def clear():
    digest._read.cache_clear()
    digest._read_unit.cache_clear()


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of packages and the script `fit`."""
    folder = tmp_path / "scripts"
    for name, text in SOURCES.items():
        write(folder / name, text)
    monkeypatch.setattr(digest, "LIBRARY", folder / "lesionbench")
    monkeypatch.setattr(digest, "SCRIPTS", folder)
    clear()
    yield folder
    clear()


def digest_after(library, name, old, new, also=()):
    """The digest of `fit` with a piece of a file replaced; the file is as before afterwards."""
    path = library / name
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    clear()
    try:
        return digest.code_digest("fit", also)
    finally:
        path.write_text(before)
        clear()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("fit.py", "train(1)", "train(2)"),
        ("lesionbench/training/loop.py", "x < 0", "x < 1"),
        ("lesionbench/training/loop.py", "from math import floor", "from math import ceil as floor"),
        ("lesionbench/training/loss.py", "EPSILON = 1", "EPSILON = 2"),
        ("lesionbench/training/recipe.py", "RATE = 0.1", "RATE = 0.2"),
        ("lesionbench/data/volume.py", "2 * x", "3 * x"),
        ("lesionbench/data/volume.py", "update(a=1)", "update(a=2)"),
        ("lesionbench/data/__init__.py", "from . import volume", "from . import volume\nprint(1)"),
    ],
)
def test_what_is_reached_changes_the_digest_in_any_package_and_by_any_import(library, name, old, new):
    assert digest_after(library, name, old, new) != digest.code_digest("fit")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("lesionbench/training/loop.py", "below zero", "negative"),
        ("lesionbench/training/loop.py", "Lower it.", "Raise it."),
        ("lesionbench/training/loop.py", '"training %s"', '"now training %s"'),
        ("lesionbench/training/loop.py", '"""Doc."""', '"""Another."""'),
        ("lesionbench/training/loop.py", "x: int", "x: float"),
        ("lesionbench/training/loop.py", "    return 1", "    return 2"),
        ("lesionbench/training/loop.py", "def unused():", "def added():\n    return 0\n\n\ndef unused():"),
        ("lesionbench/training/loss.py", "return x", "return 2 * x"),
        ("lesionbench/data/volume.py", "return json.dumps(path)", "return None"),
        ("lesionbench/data/volume.py", "import json", "import json, csv"),
        ("lesionbench/data/volume.py", "    return 2 * x", "    # why\n    return (2 *\n        x)"),
        ("lesionbench/errors.py", "pass", "code = 1"),
        ("lesionbench/logs.py", "return 1", "return 2"),
        ("lesionbench/environment.py", "return {}", "return {1: 2}"),
        ("lesionbench/words.py", "str(n)", "repr(n)"),
        ("lesionbench/__init__.py", "'1'", "'2'"),
    ],
)
def test_messages_comments_types_and_what_is_not_reached_do_not(library, name, old, new):
    assert digest_after(library, name, old, new) == digest.code_digest("fit")


def test_words_count_where_they_are_part_of_a_result(library):
    plain = digest_after(library, "lesionbench/training/loop.py", "+ SMALL", "+ len(counted(3))")
    write(library / "lesionbench/words.py", "def counted(n):\n    return repr(n)\n")
    assert digest_after(library, "lesionbench/training/loop.py", "+ SMALL", "+ len(counted(3))") != plain


def test_items_whose_progress_is_shown_count_as_if_it_were_not(library):
    write(library / "lesionbench/progress.py", "def track(items, noun):\n    return items\n")
    loop = library / "lesionbench/training/loop.py"
    plain = loop.read_text().replace("data.volume", "[y for y in range(x)] + data.volume")
    shown = plain.replace("range(x)]", "track(range(x), 'step')]")
    digests = []
    for text in (plain, shown, shown.replace("'step'", "'epoch'"), shown.replace("range(x)", "range(x + 1)")):
        loop.write_text(text.replace("import data\n", "import data\nfrom lesionbench.progress import track\n"))
        clear()
        digests.append(digest.code_digest("fit"))
    assert digests[0] == digests[1] == digests[2] != digests[3]


def test_a_module_moved_into_a_package_is_still_followed(library):
    write(library / "lesionbench/data/volume/__init__.py", "from .files import read\n")
    shutil.move(library / "lesionbench/data/volume.py", library / "lesionbench/data/volume/files.py")
    moved = digest.code_digest("fit")
    assert digest_after(library, "lesionbench/data/volume/files.py", "2 * x", "3 * x") != moved


def test_a_name_that_a_package_gets_by_a_star_is_followed_to_where_it_is_made(library):
    write(library / "lesionbench/data/__init__.py", "from .volume import *\n")
    by_star = ("lesionbench/training/loop.py", "data.volume.read", "data.read")
    before = digest_after(library, *by_star)
    write(library / "lesionbench/data/volume.py", "def read(path):\n    return 3 * path\n")
    assert digest_after(library, *by_star) != before


@pytest.mark.parametrize("new", ["from .losses import EPSILON as SMALL", "from .loss import EPS as SMALL"])
def test_an_import_of_ours_that_does_not_exist_is_an_error(library, new):
    with pytest.raises(ImportError, match=r"loop\.py: imports lesionbench\.training\.loss.* has no (losses|EPS)"):
        digest_after(library, "lesionbench/training/loop.py", "from .loss import EPSILON as SMALL", new)


def test_a_definition_that_is_looked_up_by_name_counts_where_it_is_named(library):
    also = ["training.loss:dice_loss"]
    named = digest.code_digest("fit", also)
    assert named != digest.code_digest("fit")
    assert digest_after(library, "lesionbench/training/loss.py", "return x", "return 2 * x", also) != named
    with pytest.raises(ImportError, match="no_loss"):
        digest.code_digest("fit", ["training.loss:no_loss"])


def test_a_file_of_the_users_counts_whole_with_what_it_imports_from_its_own_folder(library, tmp_path):
    own = tmp_path / "own"
    write(
        own / "fit.py", "import numpy\nimport blocks.attention\nfrom lesionbench.training.recipe import RATE\n\nA = 1\n"
    )
    write(own / "blocks/attention.py", "B = 1\n")
    write(own / "apart.py", "C = 1\n")
    also = [str(own / "fit.py")]
    before = digest.code_digest("fit", also)

    def after(path, old, new):
        return digest_after(path.parent, path.name, old, new, also)

    assert before != digest.code_digest("fit")
    assert after(own / "fit.py", "A = 1", "A = 2") != before
    assert after(own / "blocks/attention.py", "B = 1", "print(1)") != before
    assert after(own / "apart.py", "C = 1", "C = 2") == before
    assert digest_after(library, "lesionbench/training/recipe.py", "0.1", "0.2", also) != before


def test_files_of_the_users_in_two_folders_count_both_even_under_one_name(library, tmp_path):
    for folder in ("one", "two"):
        write(tmp_path / folder / "net.py", f"import parts\n\nA = parts.made_at_run_time\nB = '{folder}'\n")
        write(tmp_path / folder / "parts.py", "globals()['made_at_run_time'] = 1\n")
    files = [str(tmp_path / folder / "net.py") for folder in ("one", "two")]
    assert len({digest.code_digest("fit", also) for also in (files[:1], files[1:], files)}) == 3
    before = digest.code_digest("fit", files)
    assert digest_after(tmp_path / "two", "parts.py", "= 1", "= 2", files) != before


def test_comments_and_docstrings_of_a_users_file_do_not_count(library, tmp_path):
    write(tmp_path / "net.py", '"""Doc."""\n\nA = 1\n')
    also = [str(tmp_path / "net.py")]
    before = digest.code_digest("fit", also)
    assert digest_after(tmp_path, "net.py", '"""Doc."""\n\nA = 1\n', "A = (1)  # one\n", also) == before


def test_a_package_counts_by_its_version(library):
    digests = {digest.code_digest("fit", also) for also in ([], ["monai==1.5"], ["monai==1.6"])}
    assert len(digests) == 3


def test_digests_are_the_same_wherever_the_checkout_lies(library, tmp_path, monkeypatch):
    before = digest.code_digest("fit")
    elsewhere = tmp_path / "elsewhere" / "copy"
    shutil.copytree(library, elsewhere)
    monkeypatch.setattr(digest, "LIBRARY", elsewhere / "lesionbench")
    monkeypatch.setattr(digest, "SCRIPTS", elsewhere)
    assert digest.code_digest("fit") == before


def test_only_these_modules_decide_no_byte():
    silent = ["environment", "errors", "experiment.slurm", "logs", "progress"]
    silent += [f"training.{name}" for name in ("folder_lock", "memory", "trackers")]
    silent = sorted([*silent, *(f"models.{name}" for name in ("contract", "declared", "names", "trial"))])
    assert sorted(digest.SILENT) == [f"lesionbench.{name}" for name in silent]
    for name in digest.SILENT:
        assert (digest.SCRIPTS / f"{name.replace('.', '/')}.py").is_file()


def test_every_script_of_the_workflow_has_a_digest():
    scripts = [path.stem for path in digest.SCRIPTS.glob("*.py")]
    assert len({digest.code_digest(script) for script in scripts}) == len(scripts) > 10
