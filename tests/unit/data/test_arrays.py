"""Arrays are read where their headers fit the file, and never unpickled."""

import zipfile

import numpy as np
import pytest

from lesionbench.data.arrays import Form, read_arrays, read_shapes

FORMS = {"image": Form("int16", (None, 3)), "name": Form("U"), "weights": Form("f", (2,), needed=False)}
IMAGE = np.arange(6, dtype=np.int16).reshape(2, 3)


def written(path, **arrays):
    np.savez(path, **{"image": IMAGE, "name": "a", **arrays})
    return path


def test_arrays_and_shapes_are_read(tmp_path):
    path = written(tmp_path / "a.npz", weights=np.ones(2), more=np.zeros(3))
    arrays = read_arrays(path, FORMS)
    assert arrays.keys() == FORMS.keys() and (arrays["image"] == IMAGE).all() and str(arrays["name"]) == "a"
    assert read_shapes(path, FORMS) == {"image": (2, 3), "name": (), "weights": (2,)}
    assert read_arrays(written(tmp_path / "b.npz"), FORMS).keys() == {"image", "name"}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"image": IMAGE.astype(np.int32)}, "image.npy is of type int32, and not int16"),
        ({"image": IMAGE[:, :2]}, r"image.npy is of shape \(2, 2\)"),
        ({"image": IMAGE.ravel()}, r"image.npy is of shape \(6,\)"),
        ({"weights": np.array([1, np.nan])}, "weights holds NaN or infinity"),
        ({"image": np.array([[{}, {}, {}]])}, "image.npy is of type object"),
    ],
)
def test_what_is_not_of_its_form_is_refused(tmp_path, arrays, said):
    with pytest.raises(ValueError, match=said):
        read_arrays(written(tmp_path / "a.npz", **arrays), FORMS)


def test_a_missing_array_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", image=IMAGE)
    with pytest.raises(ValueError, match="it has no name"):
        read_arrays(tmp_path / "a.npz", FORMS)


@pytest.mark.parametrize(
    ("shape", "said"),
    [("(1000000000, 3)", "image.npy claims 6,000,000,.* bytes and has"), ("(2, 3", r"\w"), ("__import__('os')", r"\w")],
)
def test_a_header_that_lies_is_refused_before_anything_is_allocated(tmp_path, shape, said):
    header = f"{{'descr': '<i2', 'fortran_order': False, 'shape': {shape}, }}".encode()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("image.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(12))
        archive.writestr("name.npy", b"")
    with pytest.raises(ValueError, match=said):
        read_arrays(tmp_path / "a.npz", {"image": FORMS["image"]})


def test_packed_arrays_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", image=IMAGE, name="a")
    with pytest.raises(ValueError, match="is packed"):
        read_arrays(tmp_path / "a.npz", FORMS)
