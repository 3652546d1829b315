"""Find pairs of almost equal vectors: the same audio under two ids makes recommendation too easy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

AFFORDABLE = 60_000**2 * 256
"""Rows squared times width that a search among the vectors of a run may cost: a few seconds."""
BLOCK = 2048
"""Rows compared at a time: a block of cosines takes 16 MiB."""


class NearDuplicates(NamedTuple):
    """Pairs of ids (the first `limit` in row order) and the total number of pairs."""

    pairs: list[tuple[str, str]]
    total: int


def near_duplicates(
    vectors: NDArray[np.float32], ids: Sequence[str], threshold: float = 0.999, limit: int = 1000
) -> NearDuplicates:
    """Find pairs of rows of `vectors` (N, D) whose cosine is at least `threshold`.

    Rows that are zero or constant are ignored: they contain no information about their track. Takes time
    N * N * D, and memory for a copy of the vectors and one block. Vectors with a large common component, such
    as most layers of a transformer, are all similar: centre them first, or expect a high count.

    Raises
    ------
    BenchError
        The numbers of vectors and ids differ, or a vector is not finite.

    """
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise BenchError(f"near duplicates: vectors {vectors.shape} do not fit {len(ids)} ids.")
    if len(broken := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise BenchError(f"near duplicates: the vector of {ids[broken[0]]!r} is not finite.")
    if vectors.size == 0:
        return NearDuplicates([], 0)
    rows = np.flatnonzero(np.ptp(vectors, axis=1) > 0)
    # Divide by the largest value first: squares of very large or small values overflow float32.
    unit = vectors[rows].astype(np.float32) / np.abs(vectors[rows]).max(axis=1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    pairs: list[tuple[str, str]] = []
    total = 0
    for top in range(0, len(unit), BLOCK):
        hits = [np.empty((0, 2), dtype=np.int64)]
        for left in range(top, len(unit), BLOCK):
            near = unit[top : top + BLOCK] @ unit[left : left + BLOCK].T >= threshold
            if left == top:
                near = np.triu(near, 1)
            total += int(near.sum())
            # At most `limit` pairs of a block can be among the first `limit` of all pairs.
            row, column = np.divmod(np.flatnonzero(near)[: max(limit - len(pairs), 0)], near.shape[1])
            hits.append(np.stack([row + top, column + left], axis=1))
        band = np.concatenate(hits)
        for a, b in band[np.lexsort((band[:, 1], band[:, 0]))][: limit - len(pairs)]:
            pairs.append((ids[rows[a]], ids[rows[b]]))
    return NearDuplicates(pairs, total)
