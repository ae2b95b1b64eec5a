"""A hash of what the code behind a rule does: of its script and of all of the library that the script reaches.

Imported while Snakemake parses, so it needs nothing but the standard library.

A module counts by its definitions: the functions, classes and assignments at its top level. Names are followed from
definition to definition, through imports of any form and depth. Statements that bind no name (`x.update(…)`, `if …`)
count wherever their module is imported. What is looked up by name at run time (`getattr(module, name)`) is not seen:
there the rule says what is meant, as `also`.

What decides no byte of a result is left out: comments, formatting, docstrings, the types of arguments, log messages,
and the arguments of calls into the modules of SILENT, so that a reworded error reruns nothing.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lesionbench.environment import LIBRARY, PACKAGE, SCRIPTS
from lesionbench.files import sha256
from lesionbench.models.own import import_root, imported_names, parse, plain_code, sources

# Modules that decide no byte of a result: errors, checks of names, networks and memory that end in one, logs, progress,
# claims on a folder, the record of versions and machine.
SILENT = tuple(
    f"{PACKAGE}.{module}"
    for module in (
        "environment",
        "errors",
        "experiment.slurm",
        "logs",
        "models.contract",
        "models.declared",
        "models.names",
        "models.trial",
        "progress",
        "training.folder_lock",
        "training.memory",
        "training.trackers",
    )
)

PASSED_ON = "track"  # of `progress`: what it is called with is what comes of it

ALL = "*"  # stands for every definition of a module
EFFECTS = ""  # stands for what happens when a module is imported

_NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def code_digest(script: str, also: Iterable[str] = ()) -> str:
    """Return a hash of what `script` (a name in workflow/scripts, without `.py`) and the code that it reaches do.

    also: what the job uses and the script does not name: definitions of the library, as `training.loss:dice_loss`,
    files of the user's (a path that ends with `.py`), which count whole, with what they import from their own folder
    (`models.own.sources`), or distributions with their versions, as `monai==1.6.1`.

    Raises ImportError, naming the file, where something of ours that is imported does not exist.
    """
    further = sorted(also)
    versions = [name for name in further if "==" in name]
    units = [unit for name in further if "==" not in name for unit in _find_further(name)]
    return _digest([(_Module(SCRIPTS / f"{script}.py", SCRIPTS), ALL), *units], versions)


def program_digest(files: Iterable[Path]) -> str:
    """Return a hash of a program's files: of Python as `code_digest` takes a user's, of others their bytes."""
    files = list(files)
    code = _digest([unit for path in files if path.suffix == ".py" for unit in _find_further(str(path))])
    others = [f"{path.name} {sha256(path)}" for path in files if path.suffix != ".py"]
    return hashlib.sha256("\0".join([code, *others]).encode()).hexdigest()[:16]


def _digest(todo: "list[_Unit]", versions: Iterable[str] = ()) -> str:
    code: dict[_Unit, str] = {}
    while todo:
        unit = todo.pop()
        if unit not in code:
            code[unit], reached = _read_unit(*unit)
            todo += reached
    parts = [f"{module.name}\0{name}\0{code[module, name]}" for module, name in code]
    text = "\0".join(sorted([*parts, *versions]))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Module:
    """A file of code below `root`, or the folder of a package without `__init__.py`."""

    path: Path
    root: Path

    @cached_property
    def name(self) -> str:
        """Its name in an import, as `lesionbench.data.volume`: the same wherever the checkout lies."""
        parts = self.path.relative_to(self.root).with_suffix("").parts
        if self.root == SCRIPTS and len(parts) == 1:
            return f"script {parts[0]}"
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def find(self, name: str) -> "_Module | None":
        """Return the module of this name; None where it is not the library's."""
        if name.partition(".")[0] != PACKAGE:
            return None
        base = SCRIPTS.joinpath(*name.split("."))
        files = [path for path in (base.with_name(f"{base.name}.py"), base / "__init__.py") if path.is_file()]
        return _Module((files or [base])[0], SCRIPTS) if files or base.is_dir() else None

    def resolve(self, name: str) -> "list[_Unit]":
        """Return what a dotted name means here: a definition or a whole module, and what importing it executes.

        It is empty for code that is not ours and for modules of SILENT.
        """
        parts = name.split(".")
        found = self.find(parts[0])
        units: list[_Unit] = []
        for depth, part in enumerate(parts[1:], start=1):
            if found is None:
                break
            units.append((found, EFFECTS))
            contents, inner = _read(found), found.find(".".join(parts[: depth + 1]))
            if part in contents.definitions or (part in contents.imports and not inner):
                return [*units, (found, part)]
            if part == ALL or part.startswith("__"):
                return [*units, (found, part if part == ALL else EFFECTS)]
            # The name may come with `from … import *`.
            if inner is None and ALL in contents.imports:
                return [*units, (found, ALL)]
            if inner is None:
                raise ImportError(f"{self.path}: imports {name}, and {found.path} has no {part}.")
            if inner.name in SILENT:
                return units
            found = inner
        return units if found is None else [*units, (found, EFFECTS), (found, ALL)]


_Unit = tuple[_Module, str]


@dataclass(frozen=True)
class _Contents:
    """The top level of a file.

    definitions: the statements that bind a name; effects: the other statements; imports: the dotted name that a name is
    bound to, and the statement that does; imported: the dotted names of all that is imported.
    """

    definitions: Mapping[str, list[ast.stmt]]
    effects: list[ast.stmt]
    imports: Mapping[str, tuple[str, str]]
    imported: frozenset[str]


@cache
def _read(module: _Module) -> _Contents:
    text = module.path.read_text(encoding="utf-8") if module.path.is_file() else ""
    body = ast.parse(text, str(module.path)).body
    definitions: dict[str, list[ast.stmt]] = {}
    effects = []
    for statement in body:
        names = _bound_names(statement)
        for name in names:
            definitions.setdefault(name, []).append(statement)
        if not names and not isinstance(statement, ast.Import | ast.ImportFrom):
            effects.append(statement)
    imports, imported = _imports(module, [statement for statement in body if not isinstance(statement, _NAMED)])
    return _Contents(definitions, effects, imports, frozenset(imported))


def _bound_names(statement: ast.stmt) -> list[str]:
    """Return the names that a statement binds, if it does nothing else."""
    if isinstance(statement, _NAMED):
        return [statement.name]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    leaves = [leaf for target in targets for leaf in (target.elts if isinstance(target, ast.Tuple) else [target])]
    names = [leaf.id for leaf in leaves if isinstance(leaf, ast.Name)]
    return names if len(names) == len(leaves) else []


def _imports(module: _Module, statements: Iterable[ast.stmt]) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """Return `imports` and `imported` of `_Contents` for the import statements inside these statements."""
    bound, imported = {}, set()
    parts = module.name.split(".")
    package = parts if module.path.name == "__init__.py" else parts[:-1]
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                bound[alias.asname or first] = (alias.name if alias.asname else first, ast.unparse(node))
                imported.add(alias.name)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{source}.{alias.name}" if source else alias.name
                bound[alias.asname or alias.name] = (name, ast.unparse(ast.ImportFrom(source, [alias], 0)))
                imported.add(name)
    return bound, imported


@cache
def _read_unit(module: _Module, name: str) -> tuple[str, list[_Unit]]:
    """Return the code of a definition, or of the rest of a module, and what it reaches."""
    if module.root != SCRIPTS:  # a file of the user's, all of which counts
        names = imported_names(parse(module.path), ())
        return plain_code(module.path), [unit for name in names for unit in module.resolve(name)]
    contents = _read(module)
    if name == ALL:
        return "", [(module, part) for part in (EFFECTS, *contents.definitions, *contents.imports)]
    if name in contents.imports and name not in contents.definitions:
        target, text = contents.imports[name]
        ours = module.find(target.partition(".")[0])
        return "" if ours else text, module.resolve(target)
    statements = contents.effects if name == EFFECTS else contents.definitions[name]
    imports, imported = _imports(module, statements)
    if name == EFFECTS:
        imported |= contents.imported
    known = {**contents.imports, **imports}
    silent = {alias for alias, (target, _) in known.items() if f"{target}.".startswith(tuple(f"{m}." for m in SILENT))}
    visited = [_Plain(silent).visit(statement) for statement in statements]  # in place, since each is read once
    plain = ast.Module([statement for statement in visited if statement], [])
    reached = [] if name == EFFECTS else [(module, EFFECTS)]
    for target in imported:
        reached += [unit for unit in module.resolve(target) if target.endswith(ALL) or unit[1] == EFFECTS]
    for first, *rest in _chains(plain):
        if first in imports or (first in contents.imports and module.find(known[first][0].partition(".")[0])):
            reached += module.resolve(".".join([known[first][0], *rest]))
        elif first in contents.definitions or first in contents.imports:
            reached.append((module, first))
    return ast.unparse(plain), reached


class _Plain(ast.NodeTransformer):
    """Leaves out what decides no byte; `silent` are the names of what is imported from the modules of SILENT."""

    def __init__(self, silent: set[str]) -> None:
        self.silent = silent

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            vars(node)["body"] = [ast.Pass()]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        message = isinstance(node.value, ast.Call) and next(_chains(node.value.func), [""])[0] == "logger"
        return None if text or message else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        name = next(_chains(node.func), [""])[0]
        if name in self.silent and name == PASSED_ON:
            return self.visit(node.args[0])
        if name in self.silent:
            node.args, node.keywords = [], []
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _chains(node: ast.AST) -> Iterator[list[str]]:
    """Yield each name in the code with the attributes that are taken of it: `a.b.c` is [a, b, c]."""
    attributes: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        attributes.insert(0, inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield [inner.id, *attributes]
        return
    for child in ast.iter_child_nodes(node):
        yield from _chains(child)


def _find_further(name: str) -> list[_Unit]:
    """Return what an entry of `also` means."""
    if name.endswith(".py"):
        files, path = sources(Path(name)), Path(name).resolve()
        return [(_Module(file, import_root(path)), ALL) for file in files.values()]
    return _Module(LIBRARY / "__init__.py", SCRIPTS).resolve(f"{PACKAGE}.{name.replace(':', '.')}")[-1:]
