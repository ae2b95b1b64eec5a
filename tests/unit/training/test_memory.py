import pytest
import torch

from lesionbench.errors import UserError
from lesionbench.training.memory import explain_out_of_memory

CPU = torch.device("cpu")


def test_too_little_memory_is_an_error_with_the_remedy():
    remedy = "Lower training.batch_size."
    with pytest.raises(UserError, match=f"cpu: out of memory. {remedy}"), explain_out_of_memory(CPU, remedy):
        torch.empty(2**60)
    with pytest.raises(UserError), explain_out_of_memory(CPU, "Lower it."):
        raise torch.OutOfMemoryError
    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory(CPU, "Lower it."):
        raise RuntimeError("shapes differ")
