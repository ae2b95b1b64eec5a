"""Ways to damage a file: its bytes, what is packed in it, or a value in what it says."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import nibabel as nib
import yaml

Mutation = Callable[[bytes, Random], bytes]

_NUMBERS = [b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x00\x00\xc0\x7f"]
_NUMBERS += [b"\x00\x00\x80\x7f", b"\xff" * 8, b"\x00" * 16]
_VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 255, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.5, 1e-300, 1e300),
    *(float("nan"), float("inf"), "", " ", "0", "nan", "1e999", "NULL", "\x00", "../../../etc/passwd", "a" * 300),
    *("é" * 200, "{x}", "<x>", "\u202e", "9" * 5000, "\ud800", [], {}, [[]], [1, 2], [None], {"": {}}),
    *("os:system", "auto", [1] * 5000),
]  # fmt: skip
_FIELDS = [
    *("sizeof_hdr", "dim", "datatype", "bitpix", "pixdim", "vox_offset", "scl_slope", "scl_inter", "xyzt_units"),
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "srow_x", "srow_y", "srow_z"),
    "magic",
]
_EXTREMES = [0, 1, -1, 2, 3, 4, 7, 8, 16, 32, 64, 128, 256, 348, 352, 512, 1e-38, 1e-30, 0.001, 1e5, 1e30, 1e38]
_EXTREMES += [-1e38, float("nan"), float("inf"), -float("inf"), 32767, -32768, 255, 1792, 2304]


def damage(data: bytes, random: Random) -> bytes:
    """Flip, cut, insert, repeat or blank some bytes."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        # Headers are at the beginning, directories at the end.
        reach = random.choice((64, 512, len(content)))
        place = min(random.randrange(max(reach, 1)), max(len(content) - 1, 0))
        place = len(content) - 1 - place if random.random() < 0.2 and content else place
        length = random.choice((1, 2, 4, 8, 64, 1024))
        match random.randrange(8):
            case 0 | 1 if content:
                content[place] ^= 1 << random.randrange(8)
            case 2:
                number = random.choice(_NUMBERS)
                content[place : place + len(number)] = number
            case 3:
                del content[place : place + length]
            case 4:
                content[place:place] = random.randbytes(length)
            case 5:
                content[place:place] = content[place : place + length] * random.choice((1, 2, 50))
            case 6:
                content[place : place + length] = bytes(length)
            case 7:
                del content[random.choice((place, len(content) // 2, 0)) :]
    return bytes(content)


def inside_gzip(inner: Mutation) -> Mutation:
    """Return a mutation of what is packed, with a right sum and size."""

    def mutate(data: bytes, random: Random) -> bytes:
        content = inner(gzip.decompress(data), random)
        # Several parts in one file are gzip too.
        middle = len(content) // 2 if random.random() < 0.1 else len(content)
        packed = b"".join(gzip.compress(part, 1, mtime=0) for part in (content[:middle], content[middle:]) if part)
        return packed + (b"\x00" * 100 if random.random() < 0.05 else b"")

    return mutate


def inside_zip(inner: Mutation) -> Mutation:
    """Return a mutation of one member of an archive, or of the list of its members; with right sums."""

    def mutate(data: bytes, random: Random) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(item, archive.read(item)) for item in archive.infolist()]
        place = random.randrange(len(members))
        item, content = members[place]
        match random.randrange(10):
            case 0:
                del members[place]
            case 1:
                members.append(members[place])
            case 2:
                members[place] = (zipfile.ZipInfo(random.choice(members)[0].filename), content)
            case 3:
                members[place] = (zipfile.ZipInfo(random.choice(("../x", "/x", "x" * 400, "x\x01", "é"))), content)
            case _:
                members[place] = (item, inner(content, random))
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for item, content in members:
                item = zipfile.ZipInfo(item.filename)
                archive.writestr(item, content, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
        return target.getvalue()

    return mutate


def nifti_field(data: bytes, random: Random) -> bytes:
    """Set fields of a NIfTI header to numbers at and beyond what they may be."""
    header = nib.Nifti1Header(data[:348], check=False)
    for _ in range(random.choice((1, 1, 2, 3))):
        name = random.choice(_FIELDS)
        value = random.choice(_EXTREMES)
        try:
            if header[name].ndim and name != "magic":
                row = header[name].copy()
                row[random.randrange(len(row))] = value
                header[name] = row
            else:
                header[name] = b"ni1" if name == "magic" else value
        except (ValueError, OverflowError):  # more than the field holds
            header[name] = random.choice((0, 1, 100))
    return bytes(header.binaryblock) + data[348:]


def json_value(data: bytes, random: Random) -> bytes:
    """Replace, remove or add values in JSON."""
    tree = _changed(json.loads(data), random)
    text = json.dumps(tree)
    if random.random() < 0.02:
        text = "[" * 100_000 + text
    return text.encode()


def yaml_value(data: bytes, random: Random) -> bytes:
    """Replace, remove or add values in YAML."""
    tree = _changed(yaml.safe_load(data), random)
    match random.randrange(40):
        case 0:
            return b"[" * 20_000
        case 1:
            nested = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
            return f"a0: &a0 [x]\n{nested}\n".encode()
        case 2:
            return b"!!python/object/apply:os.system ['touch executed']\n" + data
        case 3:
            return b"seeds: [" + b"9" * 5000 + b"]\n"
    return yaml.safe_dump(tree, allow_unicode=random.random() < 0.5).encode()


def _changed(tree: Any, random: Random) -> Any:
    for _ in range(random.choice((1, 1, 2, 5))):
        found = list(places(tree))
        if not found:
            return value_of(random)
        holder, key = random.choice(found)
        match random.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[random.choice(("x", "", "label", "é", "__class__"))] = value_of(random)
            case 2:
                other, name = random.choice(found)
                holder[key] = json.loads(json.dumps(other[name])) if name in _keys(other) else None
            case _:
                holder[key] = value_of(random)
        if random.random() < 0.01:
            return value_of(random)
    return tree


def value_of(random: Random) -> Any:
    return deepcopy(random.choice(_VALUES))


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


def places(tree: Any) -> Any:
    if isinstance(tree, (dict, list)):
        for key in list(_keys(tree)):
            yield tree, key
            yield from places(tree[key])


def table_cell(data: bytes, random: Random) -> bytes:
    """Replace cells of a CSV, or whole lines of it."""
    lines = [line.split(",") for line in data.decode().splitlines()]
    for _ in range(random.choice((1, 1, 2, 5))):
        line = random.choice(lines)
        match random.randrange(7):
            case 0:
                lines.append(line)
            case 1:
                line.append("x")
            case 2 if line:
                line.pop()
            case 3:
                lines.insert(random.randrange(len(lines)), ["title", "", "of", "it"])
            case _ if line:
                line[random.randrange(len(line))] = _cell(random)
    mark = random.choice((",", ",", ",", ";", "\t"))
    text = "\n".join(mark.join(line) for line in lines)
    return text.encode(random.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), errors="replace")


def _cell(random: Random) -> str:
    value = value_of(random)
    return (
        random.choice(('"', "=1+1", "60%", "0,6", "\r", "\x00", "1e400"))
        if isinstance(value, (list, dict))
        else str(value)
    )


def hostile_zip(data: bytes, random: Random) -> bytes:
    """Let the directory of an archive claim other sizes, places and ways of packing."""
    content = bytearray(data)
    places = [place for place in range(len(content) - 46) if content[place : place + 4] in (b"PK\1\2", b"PK\3\4")]
    for _ in range(random.choice((1, 2))):
        place = random.choice(places)
        offset = random.choice((8, 10, 16, 20, 24, 28, 30, 42) if content[place + 2] == 1 else (6, 8, 14, 18, 22, 26))
        struct.pack_into("<I", content, place + offset, random.choice((0, 1, 99, 2**16, 2**31, 2**32 - 1)))
    return bytes(content)


def any_of(*mutations: Mutation) -> Mutation:
    """Return a mutation that is one of several, by chance."""

    def mutate(data: bytes, random: Random) -> bytes:
        return random.choice(mutations)(data, random)

    return mutate


def choose_file(folder: Path, patterns: Sequence[str], random: Random) -> tuple[Path, str]:
    """Return one file below a folder that one of several patterns finds, and the pattern."""
    found = [(path, pattern) for pattern in patterns for path in sorted(folder.glob(pattern))]
    return random.choice(found)


def dicom_value(data: bytes, random: Random) -> bytes:
    """Replace or remove attributes of a DICOM file."""
    import pydicom
    from pydicom.dataelem import RawDataElement

    header = pydicom.dcmread(io.BytesIO(data))
    implicit = header.file_meta.TransferSyntaxUID.is_implicit_VR
    words = [b"", b"x", b"1e400", b"-1", b"0", b"nan", b"99999999999", b"1\\2", b"a" * 300, b"LOCALIZER", b"HU", b"OD"]
    numbers = [b"", b"\x00\x00", b"\xff\xff", b"\x01\x00", b"\x40\x00\x40\x00", b"\x08\x00", b"\x00\x80"]
    for _ in range(random.choice((1, 1, 2))):
        tag = random.choice(list(header.keys()))
        vr = header[tag].VR
        value = random.choice(numbers if vr in ("US", "SS", "OW", "OB") else words)
        if random.random() < 0.3:
            del header[tag]
        else:
            header[tag] = RawDataElement(tag, vr, len(value), value, 0, implicit, True)
    target = io.BytesIO()
    try:
        header.save_as(target, enforce_file_format=False)
    except ValueError:  # packed pixels that are none
        return damage(data, random)
    return target.getvalue()


def safetensors_header(data: bytes, random: Random) -> bytes:
    """Change the header of a safetensors file: names, types, shapes and places of tensors."""
    length = int.from_bytes(data[:8], "little")
    header = _changed(json.loads(data[8 : 8 + length]), random)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
