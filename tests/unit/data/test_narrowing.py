"""Numbers come out as by the formula on whole arrays, byte for byte, and in no more memory than the result."""

import gzip
import itertools
import tracemalloc

import numpy as np
import pytest

from lesionbench.data.narrowing import PART, in_parts, narrow, narrowed
from lesionbench.data.scans import read_ct
from oriented import save

SHAPE = (64, 64, 20)  # more than one part
VALUES = np.random.default_rng(0).integers(-1000, 1000, SHAPE)


def formula(data):
    """What a CT becomes: int16 where that loses nothing, else float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = data.astype(np.int16)
        return whole if (whole == data).all() else data.astype(np.float32)


def last(value):
    """The values with another one at the very end."""
    changed = VALUES.astype(float)
    changed[-1, -1, -1] = value
    return changed


CASES = {
    "whole": VALUES.astype(float),
    "a half at the end": last(0.5),
    "nearly whole": last(1 + 1e-12),
    "beyond int16": last(32768),
    "far beyond int16": last(65536 + 7),
    "beyond float32": last(1e300),
    "NaN": last(np.nan),
    "uint16": (VALUES + 40_000).astype(np.uint16),
    "int64": VALUES.astype(np.int64),
    "big endian": VALUES.astype(">i2"),
}


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("case", CASES)
def test_numbers_are_those_of_the_formula(case, order):
    data = np.array(CASES[case], order=order)
    with np.errstate(over="ignore", invalid="ignore"):
        found = narrow(data)
    assert found.dtype == formula(data).dtype and found.tobytes() == formula(data).tobytes()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("stored", ["int16", "uint8", "int32", ">i2", "float32", "float64"])
@pytest.mark.parametrize(("slope", "inter"), [*itertools.product([1, 2, 0.5, 0.1, 1 / 255], [0, -1024])])
def test_a_scaled_ct_is_that_of_the_formula(tmp_path, suffix, stored, slope, inter):
    # By 0.1 as a 32-bit number 10 is nearly 1, and the nearest 32-bit number is 1: float32, not int16.
    data = (10 * (VALUES // 10) % 200).astype(stored)
    packed = save(tmp_path / "ct.nii.gz", data, edit=lambda header: header.set_slope_inter(slope, inter))
    if suffix == ".nii":
        (tmp_path / "ct.nii").write_bytes(gzip.decompress(packed.read_bytes()))
    scaled = data * np.float64(np.float32(slope)) + inter if (slope, inter) != (1, 0) else data
    found = read_ct(tmp_path / f"ct{suffix}").data
    assert found.dtype == formula(scaled).dtype and found.tobytes() == formula(scaled).tobytes()


def test_no_more_is_in_memory_than_the_result_and_a_part():
    def begin():
        return (np.full(PART, 0.5 if number == 39 else 1.0) for number in range(40))

    tracemalloc.start()
    found = narrowed(begin, (PART, 40))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.dtype == np.float32 and found[0, 39] == 0.5
    assert peak < found.nbytes + 64 * PART


def test_parts_are_views_in_the_order_of_a_file():
    data = np.asfortranarray(VALUES)
    parts = list(in_parts(data))
    assert len(parts) == 2 and all(np.shares_memory(part, data) for part in parts)
    assert np.concatenate(parts).tobytes() == data.tobytes(order="F")
