"""The sum over a source file changes with its content, wherever that lies, and not with its time."""

import gzip
import os

import numpy as np
import pytest

from lesionbench.data.content import content, is_told_by_content, look

LARGE = 2**24


@pytest.fixture
def summed():
    """Sum a file anew."""

    def sum_again(path):
        look.cache_clear()
        return content(path)

    return sum_again


def noise(size):
    """Bytes that cannot be packed."""
    return np.random.default_rng(0).bytes(size)


@pytest.mark.parametrize("place", [0, 5_000, 2**20 - 1])
def test_any_byte_of_a_small_file_counts(tmp_path, summed, place):
    path, data = tmp_path / "mask.nii", bytearray(noise(2**20))
    path.write_bytes(data)
    before = summed(path)
    data[place] ^= 1
    path.write_bytes(data)
    assert summed(path) != before and is_told_by_content(path)


@pytest.mark.parametrize("place", [0, LARGE // 2, LARGE - 1])
def test_any_byte_that_is_packed_in_a_large_gzip_file_counts(tmp_path, summed, place):
    path, data = tmp_path / "ct.nii.gz", bytearray(bytes(range(256)) * (LARGE // 256))
    path.write_bytes(gzip.compress(data, 1))
    before = summed(path)
    data[place] ^= 1
    path.write_bytes(gzip.compress(data, 1))
    assert summed(path) != before and is_told_by_content(path)


def test_neither_time_nor_place_counts(tmp_path, summed):
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(gzip.compress(noise(1000)))
    before = summed(path)
    os.utime(path, (1, 1))
    copy = tmp_path / "copy.nii.gz"
    copy.write_bytes(path.read_bytes())
    assert summed(path) == summed(copy) == before


def test_the_time_of_a_large_file_that_is_not_packed_or_in_several_parts_counts_too(tmp_path, summed):
    plain, parts = tmp_path / "ct.nii", tmp_path / "ct.nii.gz"
    plain.write_bytes(noise(LARGE))
    parts.write_bytes(gzip.compress(noise(LARGE), 1) + gzip.compress(b""))
    for path in (plain, parts):
        before = summed(path)
        assert not is_told_by_content(path)
        path.write_bytes(noise(path.stat().st_size)[::-1])
        assert summed(path) != before


def test_a_folder_counts_by_its_files_and_what_is_not_there_by_nothing(tmp_path, summed):
    (tmp_path / "1.dcm").write_bytes(b"one")
    before = summed(tmp_path)
    assert before and not is_told_by_content(tmp_path)
    assert summed(tmp_path / "none") == "" and not is_told_by_content(tmp_path / "none")


@pytest.mark.parametrize("data", [b"", b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x08\0\0"])
def test_what_is_shorter_than_a_gzip_file_is_summed_too(tmp_path, summed, data):
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(data)
    assert isinstance(summed(path), str)
