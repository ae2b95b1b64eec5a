"""A zip file of strangers is unpacked below its folder or not at all."""

import stat
import zipfile

import pytest

from lesionbench.capsule import archive
from lesionbench.capsule.archive import MANIFEST, unpack, write_archive
from lesionbench.errors import UserError


@pytest.fixture
def zipped(tmp_path):
    """A function that writes members, names or ZipInfos with contents, into a zip file."""

    def write(*members, mode="w"):
        path = tmp_path / "some.zip"
        with zipfile.ZipFile(path, mode, zipfile.ZIP_DEFLATED) as file:
            for member, content in members:
                file.writestr(member, content)
        return path

    return write


def test_what_is_packed_is_unpacked_and_agrees_with_its_list(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text("a,b\n1,2\n")
    files = {"results/ä & b.csv": source, "x.nii.gz": b"\x00" * 50}
    write_archive(tmp_path / "one.zip", files)
    write_archive(tmp_path / "two.zip", files)
    assert unpack(tmp_path / "one.zip", tmp_path / "out") == []
    assert (tmp_path / "out" / "results" / "ä & b.csv").read_text() == "a,b\n1,2\n"
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


@pytest.mark.parametrize(
    "name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "a\\..\\out.txt", "C:/out.txt", "a//b", "a/", "./a"]
)
def test_a_path_that_leads_outside_is_refused(zipped, tmp_path, name):
    with pytest.raises(UserError, match="no plain file inside it"):
        unpack(zipped((MANIFEST, ""), (name, "x")), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.txt").exists()


def test_a_link_is_refused(zipped, tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match="no plain file"):
        unpack(zipped((MANIFEST, ""), (link, "/etc/passwd")), tmp_path / "out")


def test_a_bomb_is_refused_before_it_is_unpacked(zipped, tmp_path):
    with pytest.raises(UserError, match="it claims 50,000,000 bytes in a file of"):
        unpack(zipped((MANIFEST, ""), ("zeros", b"\0" * 50_000_000)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_files_or_bytes_than_the_limits_are_refused(zipped, tmp_path, monkeypatch):
    path = zipped((MANIFEST, ""), ("a", "1"), ("b", "2"))
    for limit in ("MOST_FILES", "LARGEST_FILE", "LARGEST"):
        with monkeypatch.context() as patch, pytest.raises(UserError, match="more than is unpacked"):
            patch.setattr(archive, limit, 0)
            unpack(path, tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(zipped, tmp_path):
    with pytest.raises(UserError, match="two files of one name"):
        unpack(zipped((MANIFEST, ""), ("a", "1"), ("a", "2")), tmp_path / "out")


def test_what_does_not_agree_with_the_list_is_told(zipped, tmp_path):
    digest = "0" * 64
    lines = f"{digest}  changed\n{digest}  missing\nnonsense\n"
    found = unpack(zipped((MANIFEST, lines), ("changed", "1"), ("added", "2")), tmp_path / "out")
    assert [text.split(":")[0] for text in found] == [MANIFEST, "added", "changed", "missing"]


def test_what_is_no_capsule_is_refused(zipped, tmp_path):
    other = tmp_path / "other.zip"
    other.write_bytes(b"no zip")
    for path, message in ((other, "cannot be read as a capsule"), (tmp_path / "none.zip", "cannot be read")):
        with pytest.raises(UserError, match=message):
            unpack(path, tmp_path / "out")
    with pytest.raises(UserError, match=f"it has no {MANIFEST}"):
        unpack(zipped(("a", "1")), tmp_path / "out")


def test_a_damaged_capsule_is_refused(zipped, tmp_path):
    path = zipped((MANIFEST, "x" * 1000))
    content = bytearray(path.read_bytes())
    content[50] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a capsule"):
        unpack(path, tmp_path / "out")


def test_damage_to_what_is_packed_is_told(tmp_path, zipped):
    path = zipped(("a.csv", b"study,dice\n" * 100))
    content = bytearray(path.read_bytes())
    start = content.index(b"a.csv") + len(b"a.csv")
    content[start : start + 4] = b"\xff" * 4
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"some\.zip: cannot be read as a capsule"):
        unpack(path, tmp_path / "out")
