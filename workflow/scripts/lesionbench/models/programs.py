"""External methods: programs that train and predict by themselves, what their jobs need and which options they take.

Imported while Snakemake parses the workflow, so it needs nothing but the standard library.
"""

import difflib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

from lesionbench.environment import CHECKOUT, WORKFLOW
from lesionbench.errors import UserError

METHODS = WORKFLOW / "methods"
LEARNED = ("train", "validation")  # the subsets whose masks a program is given
DESCRIPTION, PROGRAM = "method.json", "run.py"


@dataclass(frozen=True)
class Program:
    """A program, as docs/methods.md describes them, and what a job of it asks for.

    method: its folder in workflow/methods, None for a command of the user's; command: what is called, without the
    job's file, and of a method without the interpreter; seeded: whether another seed may give other masks; environment:
    whether the method has an interpreter of its own; options: their JSON schemas by name, None where any are passed on.
    """

    method: str | None
    command: tuple[str, ...]
    seeded: bool = True
    gpu: bool = False
    threads: int = 4
    memory_mb: int = 8000
    minutes: int = 720
    environment: bool = False
    options: Mapping[str, Mapping[str, Any]] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return the program that a model's settings name. Raises UserError for a method that there is none of."""
        if "method" in settings:
            name = settings["method"]
            return cls(name, (str(METHODS / name / PROGRAM),), **_description(name))
        given = {key: settings[key] for key in ("seeded", "gpu") if key in settings}
        return cls(None, split_command(settings["command"]), **given)

    @property
    def files(self) -> list[Path]:
        """Its code: the Python files of a method; of a command, the files that it names, but for one found by PATH."""
        if self.method:
            return sorted((METHODS / self.method).rglob("*.py"))
        first, *others = self.command
        named = [*([first] if "/" in first else []), *others]
        return [Path(word) for word in named if Path(word).is_file()]

    @property
    def full_command(self) -> list[str]:
        """What is called, but for the job's file: `python` is the one that runs the workflow.

        Raises UserError where there is no such program.
        """
        if not self.method:
            folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
            program = shutil.which(self.command[0], path=folders)
            if not program:
                raise UserError(
                    f"there is no program {self.command[0]} to call. Correct `command`: a path is relative to the "
                    "working directory, a name is looked up in PATH."
                )
            return [program, *self.command[1:]]
        if not self.environment:
            return [sys.executable, *self.command]
        folder = f".venv-{self.method}"
        interpreters = [place / folder / "bin" / "python" for place in (Path.cwd(), CHECKOUT)]
        found = next((path for path in interpreters if path.is_file()), None)
        if not found:
            raise UserError(
                f"the method {self.method} has an environment of its own, and there is no {interpreters[-1]}. Make "
                f"it:\n  make method-{self.method}"
            )
        return [str(found), *self.command]


def split_command(command: str | list[str]) -> tuple[str, ...]:
    """Return the words of a command as a POSIX shell would split them; no shell runs it.

    Raises ValueError where a quotation is not closed.
    """
    return tuple(shlex.split(command) if isinstance(command, str) else command)


@cache
def _description(name: str) -> dict[str, Any]:
    path = METHODS / name / DESCRIPTION
    known = sorted(folder.parent.name for folder in METHODS.glob(f"*/{DESCRIPTION}"))
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UserError(f"there is no method {name} in {METHODS}.{hint} Known there: {', '.join(known)}.")
    described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return described
