"""What the syntax tree of an own network's file says of its class, before anything is executed.

Imported while Snakemake parses, so it needs nothing but the standard library. What a tree does not tell for certain
(decorators, names made at run time, classes of packages that are not installed here) is left to the trial.
"""

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesionbench.environment import installed_version
from lesionbench.errors import UserError
from lesionbench.models.own import OwnNetwork, import_root, parse, sources

_LONGEST_CHAIN = 20  # of imports, names and base classes


@dataclass(frozen=True)
class Parameters:
    """What a constructor takes: all names, and those without a default."""

    names: tuple[str, ...]
    required: tuple[str, ...]


def find_problem(own: OwnNetwork) -> str:
    """Return why a class cannot be what its entry says, with what to do; "" where nothing is known against it."""
    path = own.path
    if path is None:
        package = own.where.partition(".")[0]
        if installed_version("torch") is None:  # the jobs run elsewhere
            return ""
        file = Path(*own.where.split(".")).with_suffix(".py")
        return (
            f"there is no module {own.where} here. Correct the name, install {package} into the environment of the "
            "jobs, or, for a file of your own, write:\n"
            f"  architecture: {file if file.is_file() else 'path/to/file.py'}:{own.class_name}"
        )
    if not path.is_file():
        return (
            f"there is no file {own.where}. Correct the path, which is relative to the folder of the configuration "
            "that names it, or else to the working directory."
        )
    try:
        if own.is_file:
            sources(path)
        found = _find(path.resolve(), own.class_name)
    except UserError as error:
        return str(error)
    if found is None:
        return f"{own.where} has no class {own.class_name}. {_line_of_class(own.where, path, own.class_name)}"
    if isinstance(found.node, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"{own.class_name} in {own.where} is a function. Name a class that is a torch.nn.Module."
    return ""


def without_class(where: str) -> str:
    """Return what to write where an entry names a file and no class in it."""
    path = Path(where)
    found = _line_of_class(where, path, "") if path.is_file() else f"Write:\n  architecture: {where}:Class"
    return f"{where} is a file. Name the class in it too. {found}"


def _line_of_class(where: str, path: Path, name: str) -> str:
    """Return a line that names a class of a file: that whose name is nearest, or the first."""
    definitions = list(_definitions(path))
    near = difflib.get_close_matches(name, [bound for bound, _ in definitions], 1)
    names = near or [bound for bound, node in definitions if isinstance(node, ast.ClassDef)]
    return f"Write, for example:\n  architecture: {where}:{names[0]}" if names else "Define it there."


def find_parameters(own: OwnNetwork) -> Parameters | None:
    """Return what a class takes without `self`; None where its tree does not tell."""
    path = own.path
    found = _find(path.resolve(), own.class_name) if path and path.is_file() else None
    for _ in range(_LONGEST_CHAIN):
        if found is None or not isinstance(found.node, ast.ClassDef):
            return None
        node = found.node
        methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
        if node.decorator_list or node.keywords or "__new__" in methods or len(node.bases) != 1:
            return None
        if "__init__" in methods:
            return _parameters(methods["__init__"])
        base = ast.unparse(node.bases[0])
        if base in ("nn.Module", "torch.nn.Module"):
            return Parameters((), ())
        found = _find(found.path, base)
    return None


def _parameters(init: ast.FunctionDef) -> Parameters | None:
    arguments = init.args
    if init.decorator_list or arguments.kwarg or arguments.vararg or arguments.posonlyargs:
        return None
    positional = arguments.args[1:]
    without_default = positional[: max(len(positional) - len(arguments.defaults), 0)]
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    without_default = [*without_default, *(argument for argument, default in pairs if default is None)]
    names = tuple(argument.arg for argument in (*positional, *arguments.kwonlyargs))
    return Parameters(names, tuple(argument.arg for argument in without_default))


@dataclass(frozen=True)
class _Found:
    """A definition and the file that it stands in; node: None where the tree does not tell."""

    path: Path
    node: ast.stmt | None


def _find(path: Path, name: str) -> _Found | None:
    """Return what defines a name in a file, through imports and other names; None where nothing does."""
    for _ in range(_LONGEST_CHAIN):
        nodes = [node for bound, node in _definitions(path) if bound == name]
        if not nodes:
            return _Found(path, None) if "." in name or _is_open(path) else None
        node = nodes[-1]
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            name = node.value.id
        elif isinstance(node, ast.ImportFrom) and (source := _imported_file(path, node)):
            name = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
            path = source
        else:
            defined = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            return _Found(path, node if defined else None)
    return _Found(path, None)


def _definitions(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Yield each name that is bound at the top level of a file, and the statement that binds it."""
    for node in _statements(parse(path).body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name.partition(".")[0], node) for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
            yield from ((name, node) for name in names)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a file, and those inside `if`, `try` and the like."""
    for node in body:
        yield node
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for part in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)


def _is_open(path: Path) -> bool:
    """Say whether a file may have names that its tree does not show."""
    names = {name for name, _ in _definitions(path)}
    calls = {ast.unparse(node.func) for node in ast.walk(parse(path)) if isinstance(node, ast.Call)}
    return bool({"*", "__getattr__"} & names or {"globals", "vars", "setattr", "exec"} & calls)


def _imported_file(path: Path, node: ast.ImportFrom) -> Path | None:
    """Return the file of the module that a statement imports from, below the folder where imports of `path` start."""
    root = import_root(path)
    package = path.relative_to(root).parts[:-1]
    if node.level > len(package):
        return None
    start = package[: len(package) - node.level + 1] if node.level else ()
    base = root.joinpath(*start, *(node.module.split(".") if node.module else []))
    files = [file for file in (base / "__init__.py", base.with_name(f"{base.name}.py")) if file.is_file()]
    return files[0] if files else None
