"""The number of threads of the numeric libraries is limited for a while and then as before."""

import numpy as np
import torch
from threadpoolctl import threadpool_info

from bench.machine import threads


def _counts() -> list[int]:
    return [torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())]


def test_limit_holds_inside_and_ends_after_an_error() -> None:
    assert np.ones(1) @ np.ones(1)  # numpy's BLAS is loaded
    with threads(2):
        before = _counts()
        try:
            with threads(1):
                inside = _counts()
                raise ValueError
        except ValueError:
            pass
        assert set(inside) == {1}
        assert _counts() == before
