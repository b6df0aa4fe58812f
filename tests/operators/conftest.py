"""Settings for the operators' tests."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Run tiny tensors on one thread: on a busy machine, threads that wait for each other take minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
