"""Tensors are read from safetensors files, and nothing else is."""

import os

import pytest
import torch
from safetensors.torch import save_file

from lesionbench.models.tensors import read_tensors


def test_tensors_are_read_as_they_were_written(tmp_path):
    save_file({"a": torch.arange(3.0)}, tmp_path / "a.safetensors")
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")["a"], torch.arange(3.0))


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, (8).to_bytes(8, "little") + b"no json.", b"PK\x03\x04" + bytes(99)]
)
def test_what_is_none_is_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"\w"):
        read_tensors(tmp_path / "a.safetensors")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(OSError, match="a pipe or a device"):
        read_tensors(tmp_path / "a.safetensors")
