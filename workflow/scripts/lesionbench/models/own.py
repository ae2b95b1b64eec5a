"""A network of the user's own: which class of which file or package, what code it counts with, and who may run it.

Imported while Snakemake parses, so it needs nothing but the standard library, and it executes nothing of the user's.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_path
from typing import Any

from lesionbench.environment import PACKAGE, SCRIPTS, installed_version
from lesionbench.errors import UserError
from lesionbench.files import sha256
from lesionbench.models.entry import ModelEntry

# What the workflow passes to a constructor that takes it: the slices that a network sees, and one channel of logits.
CHANNELS_IN = frozenset({"in_channels", "in_chans"})
GIVEN = CHANNELS_IN | {"classes", "num_classes", "out_channels"}
_FORM = re.compile(r"(.+\.py|[^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")


@dataclass(frozen=True)
class OwnNetwork:
    """The class that an entry names: `path/to/file.py:Class` or `package.module:Class`.

    where: the file, relative to the working directory, or the module.
    """

    where: str
    class_name: str

    @property
    def name(self) -> str:
        """How an entry names it."""
        return f"{self.where}:{self.class_name}"

    @property
    def is_file(self) -> bool:
        """Whether it is named by its file."""
        return self.where.endswith(".py")

    @property
    def path(self) -> Path | None:
        """Its file; None for a module that is not there, as where jobs have an environment of their own."""
        return Path(self.where) if self.is_file else _find_module(self.where)

    @property
    def files(self) -> dict[str, Path]:
        """The user's files that it counts with, by name (`sources`); empty for a package that pip has installed."""
        path = self.path
        return sources(path) if path and (self.is_file or is_users(path)) else {}

    @property
    def requirement(self) -> str:
        """The distribution that it comes from, as `monai==1.6.1`; empty for files, and where none is installed."""
        return "" if self.is_file else _distribution(self.where.partition(".")[0])

    @property
    def code(self) -> list[str]:
        """What a digest counts of it (`experiment.digest.code_digest`)."""
        return [str(self.path)] if self.files else [self.requirement] if self.requirement else []


def own_network(architecture: str) -> OwnNetwork | None:
    """Return the class that an entry's `architecture` names, None where it names one of the library's networks."""
    found = _FORM.fullmatch(architecture)
    return OwnNetwork(found[1], found[2]) if found else None


def is_users(file: Path) -> bool:
    """Say whether a file of code is neither Python's, nor installed, nor of this library."""
    ours = (SCRIPTS, get_path("stdlib"))
    installed = {"site-packages", "dist-packages"} & {*file.parts}
    return file.is_file() and not installed and not any(file.is_relative_to(folder) for folder in ours)


def import_root(file: Path) -> Path:
    """Return the folder from which the imports of a file start: its own, or that above the package which it is in."""
    folder = file.resolve().parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def sources(file: Path) -> dict[str, Path]:
    """Return a file and all that it imports from its own folder, at any depth, by their paths below that folder.

    Raises UserError where one is missing or no Python. Imports by a name made at run time are not seen.
    """
    file = file.resolve()
    root = import_root(file)
    found: dict[str, Path] = {}
    todo = [file, *_files_of(root, ".".join(file.relative_to(root).parts[:-1]))]
    while todo:
        path = todo.pop()
        name = path.relative_to(root).as_posix()
        if name not in found:
            found[name] = path
            todo += [other for module in _imported(path, root) for other in _files_of(root, module)]
    return dict(sorted(found.items()))


def parse(file: Path) -> ast.Module:
    """Return the syntax tree of a file. Raises UserError, with the line, where there is none."""
    try:
        return ast.parse(file.read_bytes(), str(file))
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise UserError(f"{shown(file)}{line}: this is no Python ({error.msg}). Correct it.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{shown(file)}: cannot be read ({error}). Correct the path or the file.") from None


def shown(file: Path) -> str:
    """Return how messages call a file: below the working directory where it lies there."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def plain_code(file: Path) -> str:
    """Return what a file says, without comments, formatting and docstrings."""
    return ast.unparse(_WithoutTexts().visit(parse(file)))


def describe_code(entry: ModelEntry) -> dict[str, Any] | None:
    """Return what a record says of the code of an own network; None for a network of the library.

    files: the SHA-256 of each; plain: a hash of what they say without comments; or the distribution it comes from.
    """
    own = own_network(entry.architecture)
    if own is None:
        return None
    files = own.files
    if not files:
        return {"requirement": own.requirement}
    plain = "\0".join(f"{name}\0{plain_code(path)}" for name, path in files.items())
    return {
        "files": {name: sha256(path) for name, path in files.items()},
        "plain": hashlib.sha256(plain.encode()).hexdigest(),
    }


def trusted_entry(
    entry: ModelEntry, recorded: Mapping[str, Any] | None, code: Sequence[str] | None, run: str | Path
) -> ModelEntry:
    """Return the entry of a run with the code that may be executed to build its network.

    recorded: what `describe_code` returned for its training; code: the files and packages that the user trusts; None
    trusts what the entry names, as in a workflow whose configuration names it. Raises UserError where an own network's
    code is not trusted, or is not that of the training.
    """
    own = own_network(entry.architecture)
    if own is None:
        return entry
    given = [own.where] if code is None else [where for where in code if _may_be(own, where)]
    if not given:
        raise UserError(
            f"{run}: its network is {entry.architecture}, which is code of its own and would be executed here. If you "
            f"trust that code, say where it lies:\n  --code {own.where}"
        )
    # A package keeps its module, of which the user may have given the beginning.
    places = given if own.is_file else [own.where]
    candidates = [replace(entry, architecture=f"{where}:{own.class_name}") for where in places]
    differences = [_difference(candidate, recorded or {}) for candidate in candidates]
    for candidate, difference in zip(candidates, differences, strict=True):
        if not difference:
            return candidate
    raise UserError(
        f"{run}: {differences[0]}, so this may not be the network that was trained. Give the code as it was, or train "
        "again."
    )


def _may_be(own: OwnNetwork, where: str) -> bool:
    """Say whether a file or a package that the user names can be that of a network."""
    if own.is_file:
        return Path(where).name == Path(own.where).name
    return f"{own.where}.".startswith(f"{where}.")


def _difference(entry: ModelEntry, recorded: Mapping[str, Any]) -> str:
    """Return how the code of an entry differs from that of a training; "" where it does the same.

    Another version of a package may do the same, and is left to the weights.
    """
    if "requirement" in recorded:
        return ""
    if "files" not in recorded:
        return f"its record does not say what the code of {entry.architecture} was"
    files = recorded["files"]
    now = describe_code(entry) or {}
    found = now.get("files", {})
    if found == files or now.get("plain") == recorded.get("plain"):
        return ""
    changed = [name for name in sorted({*files, *found}) if files.get(name) != found.get(name)]
    return f"{changed[0]} (code of {entry.architecture}) has changed since the training"


class _WithoutTexts(ast.NodeTransformer):
    """Leaves out docstrings, and other texts that stand alone."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            vars(node)["body"] = [ast.Pass()]
        return node


def imported_names(tree: ast.AST, package: Sequence[str]) -> Iterator[str]:
    """Yield the dotted names of all that a file imports anywhere; `package` are the names of the package it is in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= len(package):
            start = package[: len(package) - node.level + 1] if node.level else ()
            source = [*start, *([node.module] if node.module else [])]
            yield from (".".join([*source, alias.name]) for alias in node.names)


def _imported(file: Path, root: Path) -> Iterator[str]:
    return imported_names(parse(file), file.relative_to(root).parts[:-1])


def _files_of(root: Path, module: str) -> list[Path]:
    """Return the files below a folder that an import of a dotted name executes: its packages' and its own."""
    parts = [part for part in module.split(".") if part]
    if not parts or parts[0] in (PACKAGE, *sys.stdlib_module_names):
        return []
    files = []
    for depth in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:depth])
        files += [path for path in (base / "__init__.py", base.with_name(f"{base.name}.py")) if path.is_file()][:1]
    return files


def _find_module(name: str) -> Path | None:
    """Return the file of a module without importing it, or the packages that it is in."""
    package, *parts = name.split(".")
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        base = Path(folder, *parts)
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file() and (parts or path.name == "__init__.py"):
                return path
    return Path(spec.origin) if not parts and spec.origin and spec.origin.endswith(".py") else None


@cache
def _distribution(package: str) -> str:
    # Most are called as the package that they install; to look into all of them takes a moment.
    version = installed_version(package)
    names = [package] if version else metadata.packages_distributions().get(package, [])
    return f"{names[0]}=={version or installed_version(names[0])}" if names else ""
