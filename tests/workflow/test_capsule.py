"""The results of a whole experiment in a capsule: all of its numbers are reproduced, and forged records are found."""

import hashlib
import json
import zipfile

import pytest

from lesionbench.capsule.archive import MANIFEST, unpack, write_archive
from lesionbench.cli import main


@pytest.fixture(scope="module")
def capsule(finished, tmp_path_factory):
    path = tmp_path_factory.mktemp("capsule") / "capsule.zip"
    assert main(["export", str(finished.folder / "results" / "tiny"), str(path)]) == 0
    return path


@pytest.fixture
def forge(capsule, tmp_path):
    """A function that changes a training's record, packs the capsule again, and returns verify's exit status."""

    def pack(change):
        folder = tmp_path / "forged"
        unpack(capsule, folder)
        change(folder / "results" / "models" / "small" / "fold-0" / "seed-0")
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        del files[MANIFEST]
        write_archive(tmp_path / "forged.zip", files)
        return main(["verify", str(tmp_path / "forged.zip")])

    return pack


def test_every_number_is_reproduced(finished, capsule, capsys):
    assert main(["verify", str(capsule), "--dataset", str(finished.folder / "results" / "tiny" / "phantom")]) == 0
    printed = capsys.readouterr().out
    assert "numbers reproduced" in printed and "Not checked: the trainings" in printed
    assert "need more than scores" not in printed


def test_no_scan_and_no_reference_mask_goes_in(finished, capsule):
    phantom = finished.folder / "results" / "tiny" / "phantom"
    sources = {hashlib.sha256(path.read_bytes()).hexdigest() for path in phantom.rglob("*") if path.is_file()}
    with zipfile.ZipFile(capsule) as archive:
        assert not sources & {hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", {"architecture": "antigravity:Net"}),
        ("seconds", 1.0),
        ("epochs", 7),
        ("seed", 5),
        ("peak_host_memory_bytes", 1),
        ("training", {}),
    ],
)
def test_a_forged_record_is_found(forge, capsys, key, value):
    def change(folder):
        record = json.loads((folder / "run.json").read_text()) | {key: value}
        (folder / "run.json").write_text(json.dumps(record))

    assert forge(change) == 1
    assert "models/small/fold-0/seed-0/run.json" in (printed := capsys.readouterr().out) or "tables/cost" in printed
