import zipfile

import numpy as np
import pytest

from lesionbench.data.manifest import read_manifest, write_manifest
from lesionbench.errors import UserError


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_a_manifest_says_where_the_slices_of_each_study_lie_in_its_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stacks = {name: save(tmp_path / f"{number}.npz", image=np.zeros(3)) for number, name in enumerate(["b", "a, 1"])}
    (tmp_path / "fold-0").mkdir()
    write_manifest(stacks, "fold-0/train.csv")
    found = read_manifest("fold-0/train.csv")
    assert list(found) == ["b", "a, 1"]
    assert [str(path) for path in found.values()] == ["0.npz", "1.npz"]


def test_a_manifest_still_leads_to_the_slices_after_the_results_have_moved(tmp_path):
    (tmp_path / "old" / "fold-0").mkdir(parents=True)
    stack = save(tmp_path / "old" / "study.npz", image=np.zeros(3))
    write_manifest({"study": stack}, tmp_path / "old" / "fold-0" / "train.csv")
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_manifest(tmp_path / "new" / "fold-0" / "train.csv")["study"].samefile(tmp_path / "new" / "study.npz")


@pytest.mark.parametrize("array", ["image", "mask"])
def test_a_manifest_changes_with_any_voxel_of_the_slices_and_with_nothing_else(tmp_path, array):
    arrays = {"image": np.zeros((4, 8, 8), np.int16), "mask": np.zeros((4, 8, 8), np.uint8)}
    texts = []
    for value in (0, 0, 1):
        arrays[array][3, 7, 7] = value
        write_manifest({"study": save(tmp_path / "study.npz", **arrays)}, tmp_path / "train.csv")
        texts.append((tmp_path / "train.csv").read_bytes())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_slices_are_named_and_leave_no_manifest(tmp_path, damage):
    stack = save(tmp_path / "study.npz", image=np.zeros(100))
    stack.unlink() if damage == "missing" else stack.write_bytes(stack.read_bytes()[:200])
    with pytest.raises(UserError, match=r"study\.npz: cannot be read as slices"):
        write_manifest({"study": stack}, tmp_path / "train.csv")
    assert not (tmp_path / "train.csv").exists()


@pytest.mark.parametrize("content", [None, "", "study\na\n", "study,slices,crc32\na\n", "\0"])
def test_a_damaged_manifest_is_named(tmp_path, content):
    path = tmp_path / "train.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"train\.csv: cannot be read as a list of slices"):
        read_manifest(path)


def test_the_sums_are_those_of_the_arrays(tmp_path):
    stack = save(tmp_path / "study.npz", image=np.arange(5))
    write_manifest({"study": stack}, tmp_path / "train.csv")
    with zipfile.ZipFile(stack) as archive:
        sums = f"image={zipfile.crc32(archive.read('image.npy')):08x}"
    assert sums in (tmp_path / "train.csv").read_text()
