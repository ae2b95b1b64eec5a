"""Patterns that the files of an unknown folder fit: for errors that show a line which would be right, and for `init`.

Imported while Snakemake parses the workflow, so it needs nothing but the standard library.
"""

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path, PurePosixPath

from lesionbench.data.patterns import Found, Pattern
from lesionbench.data.reading import SUFFIXES

DEPTH = 6  # folders below the root that are looked into
MOST = 20_000  # files that are looked at
_SCAN = "ct|cts|img|imgs|image|images|im|vol|volume|scan|scans|imagestr|org|studies"
_MASK = "mask|masks|seg|segs|segmentation|segmentations|label|labels|labelstr|lesion|lesions|infection|msk|gt|roi"
_MASK_WORD = re.compile(rf"(?<![a-z])(?:{_MASK})(?![a-z])", re.IGNORECASE)
_ROLE_WORD = re.compile(rf"(?<![a-z])(?:{_SCAN}|{_MASK})(?![a-z])", re.IGNORECASE)
# What may follow a study's name in a file's: `_ct`, `-mask`, and nnU-Net's number of a channel.
_TAIL = re.compile(rf"(?:(?:^|[_\-. ])(?:{_SCAN}|{_MASK}|0000))+\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Candidate:
    """A pattern that files fit, and those files."""

    pattern: str
    found: Sequence[Found]

    def studies(self, by_patient: bool) -> set[tuple[str | None, str]]:
        """Return its studies, each with its patient where names of studies are a patient's own."""
        return {(found.patient if by_patient else None, found.study) for found in self.found}


def candidates(root: str | Path) -> list[Candidate]:
    """Return the patterns that the volumes and DICOM folders below a folder fit, those of most files first."""
    root = Path(root)
    groups: dict[tuple[object, ...], list[str]] = {}
    for path in _volumes(root):
        *folders, name = path.removesuffix("/").split("/")
        ending = "/" if path.endswith("/") else _ending(name)
        for shape in (_by_words, _by_digits):
            names = [*folders, name] if ending == "/" else folders
            groups.setdefault((ending, *map(shape, names)), []).append(path)
    texts = dict.fromkeys(_pattern(paths) for paths in groups.values())
    made = [Candidate(text, Pattern(text, "dataset.ct").find(root)) for text in texts if text]
    return sorted((one for one in made if one.found), key=lambda one: -len(one.found))


def propose(root: str | Path) -> tuple[str | None, str | None]:
    """Return the patterns of CTs and of masks that most studies have both of; None for what is not there."""
    known = candidates(root)
    pairs = [
        (_shared(ct, mask), _is_mask(mask) - _is_mask(ct), len(ct.found), ct.pattern, mask.pattern)
        for ct, mask in permutations(known, 2)
    ]
    shared, *_, ct, mask = max(pairs, default=(0, 0, 0, None, None), key=lambda pair: pair[:3])
    if shared:
        return ct, mask
    return next((one.pattern for one in known if not _is_mask(one)), None), None


def nearest(root: str | Path, text: str) -> Candidate | None:
    """Return the candidate whose pattern is most like `text`, None where there is no volume."""
    wanted = bool(_MASK_WORD.search(text))
    return max(
        candidates(root),
        key=lambda one: (difflib.SequenceMatcher(None, text, one.pattern).ratio(), _is_mask(one) == wanted),
        default=None,
    )


def _shared(ct: Candidate, mask: Candidate) -> int:
    """Return how many studies have a CT and a mask; 0 where a study has two of a kind, or a file is both."""
    if {found.path for found in ct.found} & {found.path for found in mask.found}:
        return 0
    by_patient = "{patient}" in ct.pattern and "{patient}" in mask.pattern
    cts, masks = ct.studies(by_patient), mask.studies(by_patient)
    return len(cts & masks) if len(cts) == len(ct.found) and len(masks) == len(mask.found) else 0


def _is_mask(candidate: Candidate) -> bool:
    return bool(_MASK_WORD.search(re.sub(r"\{\w+\}", "", candidate.pattern)))


def _volumes(root: Path) -> Iterator[str]:
    """Yield the volumes and DICOM folders (with a slash at the end) below `root`, as paths below it."""
    seen = 0
    for folder, folders, files in os.walk(root, followlinks=True):
        below = PurePosixPath(Path(folder).relative_to(root).as_posix())
        depth = len(below.parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < DEPTH else []
        visible = sorted(name for name in files if not name.startswith("."))
        volumes = [name for name in visible if name.lower().endswith(SUFFIXES)]
        if not volumes and depth and any(_is_dicom(Path(folder, name)) for name in visible[:3]):
            yield f"{below}/"
        yield from ((below / name).as_posix() for name in volumes)
        seen += len(files)
        if seen > MOST:
            return


def _is_dicom(path: Path) -> bool:
    """Decide by the name, or by the prefix after the preamble of 128 bytes (DICOM PS3.10, section 7.1)."""
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _ending(name: str) -> str:
    """Return the part of a file's name that all studies share: `_ct.nii.gz`."""
    suffix = next(suffix for suffix in SUFFIXES if name.lower().endswith(suffix))
    tail = _TAIL.search(name[: -len(suffix)])
    return (tail[0] if tail else "") + name[-len(suffix) :]


def _by_words(name: str) -> str:
    """Return a folder's name if it says what lies there, else a star: `imagesTr` and `masks`, but not `anna`."""
    return _by_digits(name) if _ROLE_WORD.search(name) else "*"


def _by_digits(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _pattern(paths: Sequence[str]) -> str:
    """Return the pattern of paths that differ in the names of some folders, and perhaps of the file; "" for none."""
    rows = [path.removesuffix("/").split("/") for path in paths]
    is_folder = paths[0].endswith("/")
    names = [*zip(*rows, strict=True)]
    levels = [level[0] if len(set(level)) == 1 else "" for level in names]
    if not is_folder:
        ending = _ending(rows[0][-1])
        if rows[0][-1] != ending:
            return "/".join([*_name_folders(levels[:-1], names, of_study=False), f"{{study}}{ending}"])
    if is_folder and all(levels):  # one series alone
        levels[-1] = ""
    if not is_folder and all(levels):
        if len(levels) < 2:
            return ""
        levels[-2] = ""
    return "/".join(_name_folders(levels, names, of_study=True)) + ("/" if is_folder else "")


def _name_folders(levels: list[str], names: Sequence[tuple[str, ...]], of_study: bool) -> list[str]:
    """Return the names of folders with a wildcard for those that differ, from the file upwards.

    Where no study is called by its folder, folders that hold many files each are categories and not patients.
    """
    free = ["category", "patient", *(["study"] if of_study else [])]
    named = []
    for level, values in reversed([*zip(levels, names, strict=False)]):
        if not level and free == ["category", "patient"] and len(values) > 3 * len(set(values)):
            free.remove("patient")
        named.append(level or (f"{{{free.pop()}}}" if free else "{study}"))
    return named[::-1]
