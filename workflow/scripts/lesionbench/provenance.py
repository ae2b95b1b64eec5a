"""What made a result: the code, the versions and the machine."""

import ast
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

LIBRARY = Path(__file__).parent
SCRIPTS = LIBRARY.parent
PACKAGE = LIBRARY.name
PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "nibabel", "numpy", "scipy", "pandas")


def code_digest(script: str) -> str:
    """Return a hash of what `script` (a name in workflow/scripts, without `.py`) and the library modules it needs do.

    It covers the script and every `lesionbench` module that it imports, at any depth, as code written back from the
    syntax tree without docstrings: comments, formatting and docstrings do not change it, a changed statement does.
    The package's `__init__` (the version number) is left out, so that a release does not rerun a benchmark.
    """
    todo, seen = [SCRIPTS / f"{script}.py"], set()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo.extend(_read_code(path)[1])
    code = "\0".join(f"{path.name}\0{_read_code(path)[0]}" for path in sorted(seen))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


@cache
def _read_code(path: Path) -> tuple[str, tuple[Path, ...]]:
    """Return a file's code without comments and docstrings, and the library modules that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    modules = {LIBRARY / f"{name}.py" for name in _imported_names(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree), tuple(module for module in modules if module.exists())


def _imported_names(tree: ast.AST) -> Iterator[str]:
    """Yield `x` for `import lesionbench.x`, `from lesionbench.x import y` and `from lesionbench import x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            package, _, module = name.partition(".")
            if package == PACKAGE and module:
                yield module.partition(".")[0]


def prefer_this_checkout() -> None:
    """Let the processes that this one starts import the library beside this file, whatever else is installed."""
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(SCRIPTS) not in others:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SCRIPTS), *others]))


def environment() -> dict[str, object]:
    """Return the versions, the git commit, the machine and the time, for a run's record."""
    return {
        "lesionbench": _version(PACKAGE),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": git_commit(),
        "platform": platform.platform(),
        "host": platform.node(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git_commit() -> str | None:
    """Return the commit of the workflow's checkout, with `-dirty` where tracked files differ, or None outside git."""
    command = ["git", "-C", str(SCRIPTS), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
