import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products gain nothing from more threads, and on a busy machine lose much."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
