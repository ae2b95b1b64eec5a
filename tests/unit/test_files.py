import hashlib

import pytest

from lesionbench.files import atomic, sha256


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


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
