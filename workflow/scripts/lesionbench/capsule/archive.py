"""A zip file of strangers, unpacked with care, and the list of hashes that it must agree with."""

import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from lesionbench.errors import UserError
from lesionbench.files import open_regular
from lesionbench.progress import track
from lesionbench.words import first_few

MANIFEST = "manifest-sha256.txt"
MOST_FILES = 500_000
LARGEST_FILE = 2 * 2**30  # bytes
LARGEST = 64 * 2**30
RATIO = 200  # of unpacked to packed bytes, of the whole; tables and masks come to less than 20
_STAMP = (1980, 1, 1, 0, 0, 0)  # equal files make equal capsules
_PART = 2**20
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_archive(path: Path, files: Mapping[str, Path | bytes]) -> None:
    """Write files, or bytes, by their names as a zip file, with the list of their hashes (as `sha256sum` writes it)."""
    lines = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in track(sorted(files.items()), "file", label="packing"):
            content = source if isinstance(source, bytes) else source.read_bytes()
            lines.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
            _add(archive, name, content)
        _add(archive, MANIFEST, "".join(lines).encode())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    packed = zipfile.ZIP_STORED if name.endswith(".gz") else zipfile.ZIP_DEFLATED
    archive.writestr(zipfile.ZipInfo(name, _STAMP), content, packed)


def unpack(path: Path, folder: Path) -> list[str]:
    """Unpack a capsule into a folder; return what does not agree with its list of hashes, in words.

    Only regular files are written, and only below the folder. Raises UserError where the file is no zip, is damaged, or
    holds what no capsule does: paths that lead outside, links, two files of one name, encrypted files, or more than the
    limits above.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if problem := _refuse(members, path.stat().st_size):
                raise UserError(f"{path}: {problem}. It is no capsule, or was changed: nothing was unpacked.")
            found = {member.filename: _unpack_one(archive, member, folder) for member in track(members, "file")}
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError) as error:
        raise UserError(f"{path}: cannot be read as a capsule ({error}). Copy it again.") from error
    if MANIFEST not in found:
        raise UserError(f"{path}: it has no {MANIFEST}, so it is no capsule. Make one with `lesionbench export`.")
    return list(_compare(found, (folder / MANIFEST).read_text(encoding="utf-8", errors="replace")))


def _refuse(members: Iterable[zipfile.ZipInfo], packed: int) -> str:
    """Return what is wrong with a zip file by its directory alone, empty where nothing is."""
    members = list(members)
    names = [member.filename for member in members]
    sizes = [member.file_size for member in members]
    strange = [
        member.filename
        for member in members
        if not _is_plain(member.filename)
        or stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG)
        or member.flag_bits & 1
        or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    ]
    if strange:
        return f"it holds {first_few([ascii(name) for name in strange])}, which is no plain file inside it"
    if len(set(names)) < len(names):
        return "it holds two files of one name"
    if len(names) > MOST_FILES or max(sizes, default=0) > LARGEST_FILE or sum(sizes) > LARGEST:
        return f"it claims {len(names):,} files of {sum(sizes):,} bytes, more than is unpacked"
    if sum(sizes) > RATIO * packed + _PART:
        return f"it claims {sum(sizes):,} bytes in a file of {packed:,}"
    return ""


def _is_plain(name: str) -> bool:
    """Say whether a name is that of a file below the folder it is unpacked in, on every system."""
    parts = name.split("/")
    if re.search(r"[\\\x00-\x1f\x7f]", name) or re.match("[A-Za-z]:", name):
        return False
    return all(part and not part.startswith("..") and part != "." for part in parts)


def _unpack_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> str:
    """Write a member, up to the size that it claims, and return its SHA-256."""
    target = folder / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), member.file_size
    with archive.open(member) as source, target.open("xb") as file:
        while part := source.read(_PART):
            left -= len(part)
            if left < 0:
                raise ValueError(f"{member.filename} holds more than it claims")
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def _compare(found: Mapping[str, str], manifest: str) -> Iterable[str]:
    claimed = {}
    for line in manifest.splitlines():
        match = _LINE.fullmatch(line)
        if not match:
            yield f"{MANIFEST}: {line[:80]!r} is no line of hash and name"
            continue
        claimed[match[2]] = match[1]
    for name in sorted(claimed.keys() | (found.keys() - {MANIFEST})):
        if name not in found:
            yield f"{name}: it is listed in {MANIFEST} and missing"
        elif name not in claimed:
            yield f"{name}: it is not listed in {MANIFEST}"
        elif found[name] != claimed[name]:
            yield f"{name}: its SHA-256 is not the one in {MANIFEST}, so the file was changed"
