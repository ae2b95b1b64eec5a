"""Where the files of a data set lie: patterns such as `imagesTr/{study}_0000.nii.gz`, in Snakemake's wildcards.

Imported while Snakemake parses the workflow, so it needs nothing but the standard library.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple
from unicodedata import normalize

from lesionbench.data.reading import SUFFIXES
from lesionbench.errors import UserError
from lesionbench.files import LONGEST_NAME, can_be_path, refuse_links_to_nothing

WILDCARDS = ("study", "category", "patient", "set")
# Packed and unpacked NIfTI stand for each other.
_NIFTI = r"\.nii(?:\.gz)?"
# A wildcard, and after a comma the regular expression that it has to match: {study,\d{4}}.
_WILDCARD = re.compile(r"\{\s*(?P<name>[^{},]*?)\s*(?:,(?P<constraint>(?:[^{}]|\{\d+(?:,\d*)?\})*))?\}")


class Found(NamedTuple):
    """A file or folder that a pattern matches, and what stands there for its wildcards; None for those it lacks."""

    path: Path
    study: str
    category: str | None = None
    patient: str | None = None
    set: str | None = None


@dataclass(frozen=True)
class Pattern:
    """The path of a file below the root of a data set, with `{study}` and perhaps others of WILDCARDS in it.

    A wildcard does not reach across a `/`; a constraint may follow it, as in `{study,\\d+}`. All but the study are
    taken as short as possible, a study as long as possible. The file's name is read in any case of letters. A path
    without a volume's suffix is that of a folder of DICOM slices.

    Raises UserError, naming the configuration's key, where no study is in it, a wildcard is unknown or its constraint
    no regular expression.
    """

    text: str
    key: str

    def __post_init__(self) -> None:
        self._check()

    @cached_property
    def parts(self) -> list[str]:
        """The names between the slashes; those of a constraint do not count."""
        masked = _WILDCARD.sub(lambda match: match[0].replace("/", "\0"), self.text.removesuffix("/"))
        return [part.replace("\0", "/") for part in masked.split("/")]

    @cached_property
    def names(self) -> set[str]:
        """The wildcards in it."""
        return {match["name"] for match in _WILDCARD.finditer(self.text)}

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is the path of folders, not of files."""
        return self.text.endswith("/") or not self.parts[-1].lower().endswith(SUFFIXES)

    def find(self, root: Path) -> list[Found]:
        """Return what it matches below `root`, sorted by path; hidden files and folders do not count.

        Names are composed (Unicode's NFC), as keyboards write them: macOS writes letters and their accents apart.

        Raises UserError where links in its way lead to nothing, or a folder may not be read.
        """
        regex = re.compile("/".join(self._regexes(named=True)))
        dangling: list[Path] = []
        paths = [(root, "")]
        *folders, _ = zip(self.parts, self._regexes(named=False), strict=True)
        for part, loose in folders:
            if _WILDCARD.search(part):
                entered = _matching(paths, loose)
            else:
                entered = [(folder / part, f"{below}{part}") for folder, below in paths]
            dangling += [path for path, _ in entered if path.is_symlink() and not path.exists()]
            paths = [(folder, f"{below}/") for folder, below in entered if folder.is_dir()]
        paths = _matching(paths, list(self._regexes(named=False))[-1])
        dangling += [path for path, _ in paths if path.is_symlink() and not path.exists()]
        refuse_links_to_nothing(dangling, f"{self.key.rpartition('.')[0]}.root")
        matches = ((path, regex.fullmatch(below)) for path, below in paths if path.is_dir() == self.is_folder)
        return sorted(Found(path, **_composed(match.groupdict())) for path, match in matches if match)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the path for these values of its wildcards; a wildcard without a value stays."""
        return _WILDCARD.sub(lambda match: values.get(match["name"], f"{{{match['name']}}}"), self.text)

    def _regexes(self, named: bool) -> Iterator[str]:
        """Yield a regular expression for each part; with names, a wildcard's second place repeats its first."""
        seen: set[str] = set()
        for number, part in enumerate(self.parts, 1):
            is_file = number == len(self.parts) and not self.is_folder
            yield _part_regex(part, is_file, seen if named else None)

    def _check(self) -> None:
        label = f"{self.key}: {shorten(repr(self.text), 200, placeholder='…')}"
        if not can_be_path(_WILDCARD.sub("", self.text)):
            raise UserError(f"{label}: no file can be called so. A name has {LONGEST_NAME} bytes at most.")
        leaf = self.key.rpartition(".")[2]
        if (rest := _WILDCARD.sub("", self.text)) and set(rest) & set("{}"):
            raise UserError(f"{label} has a brace without its partner. Write wildcards as {{study}}.")
        for match in _WILDCARD.finditer(self.text):
            name = match["name"]
            if name not in WILDCARDS:
                near = difflib.get_close_matches(name, WILDCARDS, 1) or ["study"]
                known = ", ".join(f"{{{known}}}" for known in WILDCARDS)
                raise UserError(
                    f"{label}: there is no wildcard {{{name}}}; known are {known}. Write, for example:\n"
                    f"  {leaf}: {quoted(self.text.replace(match[0], f'{{{near[0]}}}'))}"
                )
            try:
                re.compile(match["constraint"] or "")
            except re.error as error:
                raise UserError(f"{label}: {match['constraint']} is no regular expression ({error}).") from None
        if "study" not in self.names:
            better = self.text.replace("*", "{study}", 1) if "*" in self.text else "imagesTr/{study}.nii.gz"
            raise UserError(
                f"{label} has no {{study}}. Put {{study}} where the study's name stands, for example:\n"
                f"  {leaf}: {quoted(better)}"
            )


def _composed(values: Mapping[str, str | None]) -> dict[str, Any]:
    return {name: value and normalize("NFC", value) for name, value in values.items()}


def _part_regex(part: str, is_file: bool, seen: set[str] | None) -> str:
    """Return a regular expression for a name; `seen` holds the wildcards before it, None for one without groups."""
    suffix = ""
    if is_file:
        ending = next(suffix for suffix in SUFFIXES if part.lower().endswith(suffix))
        part = part[: -len(ending)]
        suffix = f"(?i:{_NIFTI if ending.startswith('.nii') else re.escape(ending)})"
    regex, start = "", 0
    for match in _WILDCARD.finditer(part):
        regex += _literal(part[start : match.start()], is_file)
        name, start = match["name"], match.end()
        inside = match["constraint"] or ("[^/]+" if name == "study" else "[^/]+?")
        if seen is None:
            regex += f"(?:{inside})"
        elif name in seen:
            regex += f"(?P={name})"
        else:
            seen.add(name)
            regex += f"(?P<{name}>{inside})"
    return regex + _literal(part[start:], is_file) + suffix


def _literal(text: str, is_file: bool) -> str:
    return f"(?i:{re.escape(text)})" if text and is_file else re.escape(text)


def _matching(folders: Iterable[tuple[Path, str]], regex: str) -> list[tuple[Path, str]]:
    """Return what lies in folders under a name that fits and is not hidden, each with its path below the root."""
    fits = re.compile(regex).fullmatch
    return [
        (path, below + path.name)
        for folder, below in folders
        for path in _entries(folder)
        if fits(path.name) and not path.name.startswith(".")
    ]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir()) if folder.is_dir() else []
    except PermissionError as error:
        raise UserError(f"{folder}: you may not read this folder ({error.strerror}). Change its permissions.") from None


def quoted(text: str) -> str:
    """Return a pattern as YAML takes it: a leading brace would begin a mapping."""
    return f'"{text}"' if text.startswith("{") else text
