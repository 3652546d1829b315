"""Exact ranks of held-out items among masked scores, by a comparison with each of them or by sorting the scores."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def held_out_ranks(
    x: NDArray[np.float32], ties: NDArray[np.int32], row: NDArray[np.int64], column: NDArray[np.integer]
) -> NDArray[np.int32]:
    """Return the ranks (P,) of some places of scores (B, W) in their rows: 1 is best, 0 means -inf.

    Equal scores are ordered by their tie ranks (W,). `row` (P,) ascends.
    """
    value = x[row, column]
    before = np.zeros(len(row), np.int64)
    # One comparison takes a pass over the scores, and sorting them about as many as the logarithm of their number.
    few = x.shape[1].bit_length() // 4
    bounds = np.flatnonzero(np.diff(row, prepend=-1, append=len(x))).tolist()
    for start, end in pairwise(bounds):
        scores, values = x[row[start]], value[start:end]
        if end - start <= few:
            above = np.array([np.count_nonzero(scores > v) for v in values])
            equal = np.array([np.count_nonzero(scores == v) for v in values])
        else:
            ordered = np.sort(scores)
            after = np.searchsorted(ordered, values, side="right")
            above, equal = len(scores) - after, after - np.searchsorted(ordered, values)
        tied = (equal > 1) & (values > -np.inf)
        for v in np.unique(values[tied]) if tied.any() else ():
            which, same = np.flatnonzero(values == v), scores == v
            own = ties[column[start + which]]
            if len(own) <= few:
                above[which] += [np.count_nonzero(same & (ties < tie)) for tie in own]
            else:
                above[which] += np.searchsorted(np.sort(ties[same]), own)
        before[start:end] = above
    return np.where(value > -np.inf, before + 1, 0).astype(np.int32)
