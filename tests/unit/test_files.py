import errno
import hashlib
import json
import os
import subprocess
import sys

import pytest

from lesionbench.errors import UserError
from lesionbench.files import (
    atomic,
    can_be_path,
    folder_state,
    read_bytes,
    read_json,
    sha256,
    visible_files,
    write_json,
)


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_whatever_the_writer_made_of_it(tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fsync(file):
        raise full

    with pytest.raises(UserError, match=r"nii\.gz cannot be written \(No space"), atomic(tmp_path / "mask.nii.gz"):
        raise full
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UserError, match="Make room"), atomic(tmp_path / "mask.nii.gz") as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError("unexpected pos 378112 vs 378008")
    assert not list(tmp_path.iterdir())


def test_success_replaces_and_makes_the_folder(tmp_path):
    path = tmp_path / "new" / "mask.nii.gz"
    with atomic(path) as temporary:
        assert temporary.name.endswith(".nii.gz") and not path.exists()
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_sha256_is_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_the_hash_of_a_folder_is_of_what_is_seen_in_it_in_the_order_of_names(tmp_path):
    for name, text in {"b/2": "two", "a": "one", ".DS_Store": "x", "b/._2": "x", ".hidden/3": "x"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert visible_files(tmp_path) == [tmp_path / "a", tmp_path / "b" / "2"]
    before = sha256(tmp_path)
    (tmp_path / "b" / "._2").write_text("y")
    (tmp_path / "a").rename(tmp_path / "a2")
    assert sha256(tmp_path) == before
    (tmp_path / "b" / "2").write_text("three")
    assert sha256(tmp_path) != before


def test_a_folders_state_changes_with_any_of_its_files_and_not_with_hidden_ones(tmp_path):
    def state():
        folder_state.cache_clear()
        return folder_state(tmp_path)

    (tmp_path / "part").mkdir()
    slices = [tmp_path / "1.dcm", tmp_path / "part" / "2.dcm"]
    for path in slices:
        path.write_bytes(b"one")
    seen = [state(), state()]
    (tmp_path / "._1.dcm").write_bytes(b"of macOS")
    assert seen == [state()] * 2
    for path in slices:
        os.utime(path, ns=(1, 1))
        seen.append(state())
        path.write_bytes(b"more")
        os.utime(path, ns=(1, 1))
        seen.append(state())
    slices[0].rename(tmp_path / "3.dcm")
    seen.append(state())
    assert len(set(seen)) == len(seen) - 1
    assert folder_state(slices[1]) == folder_state(tmp_path / "none") == ""


def test_json_is_written_for_people_and_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "a.json"
    write_json(path, {"Größe": [1, None]}, indent=1)
    assert path.read_text(encoding="utf-8") == '{\n "Größe": [\n  1,\n  null\n ]\n}\n'
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert (
        json.loads(path.read_text(encoding="utf-8")) == {"Größe": [1, None]} and len(list(path.parent.iterdir())) == 1
    )


def test_a_pipe_or_a_device_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        for read in (read_bytes, read_json, sha256) if path != tmp_path else (read_bytes, read_json):
            with pytest.raises(OSError, match="a folder, a pipe or a device"):
                read(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="larger than 67,108,864 bytes"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "no object"),
        ("9" * 5000, "digits"),
        ('{"a": "\\ud800"}', "surrog"),
    ],
)
def test_what_is_no_object_of_json_is_refused(tmp_path, text, said):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "right"),
    [("a/" + "b" * 255, True), ("a/" + "b" * 256, False), ("é" * 128, False), ("a\0", False), ("\ud800", False)],
)
def test_what_no_file_can_be_called_is_known(text, right):
    assert can_be_path(text) is right


@pytest.mark.parametrize("umask", ["022", "002", "077"])
def test_a_file_has_the_mode_that_the_umask_says(tmp_path, umask):
    code = (
        "import os; from lesionbench.files import atomic\nwith atomic('a') as part:\n    part.touch(mode=0o600)\n"
        "print(oct(os.stat('a').st_mode & 0o777))"
    )
    command = ["sh", "-c", f'umask {umask}; exec "$0" -c "$1"', sys.executable, code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == oct(0o666 & ~int(umask, 8))
