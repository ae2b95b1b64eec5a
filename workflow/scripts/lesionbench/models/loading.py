"""From the class that an own network's entry names to a module: its code is executed here, and nowhere else."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from lesionbench.environment import PACKAGE
from lesionbench.errors import UserError
from lesionbench.files import sha256
from lesionbench.models.entry import ModelEntry
from lesionbench.models.own import CHANNELS_IN, GIVEN, OwnNetwork, import_root, shown, sources
from lesionbench.models.padding import LARGEST_MULTIPLE, said


def build_own(own: OwnNetwork, entry: ModelEntry, channels: int) -> tuple[nn.Module, int]:
    """Return an instance of the class that an entry names, and its stride in pixels.

    The constructor gets the number of slices that the network sees as `in_channels` or `in_chans`, 1 as `classes`,
    `num_classes` or `out_channels`, whichever of them it takes, and the entry's options. The stride is the attribute
    `stride` of the instance, or 1.

    Raises UserError where the code cannot be imported, or there is no such class, or it cannot be built.
    """
    constructor = _load_class(own)
    given = {name: channels if name in CHANNELS_IN else 1 for name in _taken(constructor) & GIVEN}
    with explained(f"{entry.name} cannot be built", "Correct the class or the model's `options`"):
        module = constructor(**given, **entry.options)
        stride = getattr(module, "stride", 1)
        if lazy := [name for name, weight in module.named_parameters() if is_lazy(weight)]:
            raise ValueError(f"{lazy[0]} has no size yet, as in nn.LazyConv2d")
    if isinstance(stride, bool) or not isinstance(stride, int) or not 1 <= stride <= LARGEST_MULTIPLE:
        raise UserError(
            f"{entry.name}: its attribute `stride` is {stride!r}. Set it to the number of pixels that height and width "
            f"must be multiples of, from 1 to {LARGEST_MULTIPLE}."
        )
    return module, stride


def _load_class(own: OwnNetwork) -> type[nn.Module]:
    name = own.name
    remedy = "Correct the code, or install what is missing into the environment of the jobs"
    with explained(f"{name} cannot be imported", remedy):
        found = getattr(_load_file(Path(own.where)) if own.is_file else import_module(own.where), own.class_name, None)
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        what = "there is no such class" if found is None else "it is no torch.nn.Module"
        raise UserError(f"{name}: {what}. Name a class that is one.")
    return found


def _taken(constructor: type) -> set[str]:
    """Return the arguments that a class takes by name, and those of its base where it hands others on (`**kwargs`)."""
    names: set[str] = set()
    for part in constructor.__mro__:
        if part is nn.Module:
            break
        if "__init__" in vars(part):
            parameters = inspect.signature(vars(part)["__init__"]).parameters.values()
            names |= {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
            if not any(one.kind is one.VAR_KEYWORD for one in parameters):
                break
    return names


@contextmanager
def explained(what: str, remedy: str) -> Iterator[None]:
    """Turn whatever the user's code raises, an exit too, into a UserError."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{what} ({said(error).rstrip('.')}). {remedy}.") from error


def _load_file(file: Path) -> ModuleType:
    path = file.resolve()
    return _execute(path, tuple(map(sha256, sources(path).values())))


@cache
def _execute(path: Path, hashes: tuple[str, ...]) -> ModuleType:
    """Import a file; what it imports is looked for in its own folder first, as when Python runs it.

    hashes: of all that it imports there, so that a changed file is imported again. Modules of another user's file are
    forgotten, because two folders may both have, say, a `blocks.py`.
    """
    root = import_root(path)
    *packages, stem = path.relative_to(root).with_suffix("").parts
    for finder in [finder for finder in sys.meta_path if isinstance(finder, _Finder)]:
        sys.meta_path.remove(finder)
        for name in finder.found:
            sys.modules.pop(name, None)
    sys.meta_path.insert(0, _Finder(root))
    if packages:
        if packages[0] in sys.modules:
            raise ImportError(f"{shown(root / packages[0])} is called as a package that is in use. Rename the folder")
        return import_module(".".join([*packages, stem]))
    # Under a name of its own: a file may be called as a package that is in use.
    spec = spec_from_file_location(f"{PACKAGE}_own_{stem}", path, loader=_Source(f"{PACKAGE}_own_{stem}", str(path)))
    assert spec and spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class _Source(SourceFileLoader):
    """Compiles the source itself, so that what is hashed is what runs, whatever lies in `__pycache__`."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _Finder:
    """Finds the modules below a folder before those that are installed, but for Python's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: set[str] = set()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] in (PACKAGE, *sys.stdlib_module_names):
            return None
        places = (
            [str(self.root)] if path is None else [place for place in path if Path(place).is_relative_to(self.root)]
        )
        for place in places:
            spec = FileFinder(place, (_Source, SOURCE_SUFFIXES)).find_spec(name)
            # As in Python, a folder without `__init__.py` gives way to an installed package.
            other = None if spec is None or spec.loader else PathFinder.find_spec(name, path)
            if spec and not (other and other.origin):
                self.found.add(name)
                return spec
        return None
