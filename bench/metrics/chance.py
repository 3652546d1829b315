"""What a uniformly random ranking would score: exact expectations, no simulation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bench.metrics.ranking import discounts, ideal


def chance(
    n_candidates: NDArray[np.integer],
    n_relevant: NDArray[np.integer],
    ks: Iterable[int],
    reachable: NDArray[np.integer] | None = None,
) -> dict[str, float]:
    """Return the expectation of every metric of `bench.metrics.ranking`, averaged over users.

    With N candidates, R of them relevant, in random order: an item at a given rank is relevant with
    probability R / N, two given ranks both are with R (R - 1) / (N (N - 1)), and the first i ranks hold
    no relevant item with C(N - R, i) / C(N, i) = prod_{j < i} (N - R - j) / (N - j).

    Parameters
    ----------
    n_candidates
        Candidates of each user (U,), history taken off.
    n_relevant
        Held-out items of each user (U,), the |T| of the metrics, at least 1.
    ks
        List lengths, as for `evaluate`.
    reachable
        How many of the held-out items are candidates (U,), the R above; by default all of them.

    Raises
    ------
    ValueError
        For users without held-out items, or with more reachable items than candidates.

    """
    ks = list(ks)
    total = np.asarray(n_candidates, np.float64)[:, None]
    relevant = np.asarray(n_relevant, np.float64)
    found = relevant[:, None] if reachable is None else np.asarray(reachable, np.float64)[:, None]
    if len(total) == 0 or not ks:
        return {}
    if (relevant < 1).any():
        raise ValueError(f"{int((relevant < 1).sum())} of {len(relevant)} users have no held-out item")
    if (found[:, 0] > np.minimum(total[:, 0], relevant)).any():
        raise ValueError("a user has more reachable items than candidates or held-out items")
    if min(ks) < 1:
        raise ValueError(f"k = {min(ks)} must be at least 1")

    rank = np.arange(1, max(ks) + 1, dtype=np.float64)
    listed = rank <= total  # Lists end with the last candidate.
    one = np.where(listed, found / np.maximum(total, 1), 0.0)
    # The number of hits before rank i, given a hit at i, is expected to be (i - 1) (R - 1) / (N - 1).
    others = np.maximum(found - 1, 0) / np.maximum(total - 1, 1)
    precisions = np.cumsum(one * (1 + (rank - 1) * others) / rank, axis=1)
    gain = np.cumsum(one * discounts(len(rank)), axis=1)
    count = np.cumsum(one, axis=1)
    drawn = rank - 1
    miss = np.cumprod(
        np.where(listed, np.maximum(total - found - drawn, 0) / np.maximum(total - drawn, 1), 1.0), axis=1
    )
    before = np.concatenate([np.ones_like(total), miss[:, :-1]], axis=1)
    reciprocal = np.cumsum((before - miss) / rank, axis=1)

    expected: dict[str, float] = {}
    for k in ks:
        values = {
            "hitrate": 1 - miss[:, k - 1],
            "recall": count[:, k - 1] / relevant,
            "ndcg": gain[:, k - 1] / ideal(relevant.astype(np.int64), k),
            "mrr": reciprocal[:, k - 1],
            "map": precisions[:, k - 1] / relevant,
            "map_min": precisions[:, k - 1] / np.minimum(relevant, k),
            "precision": count[:, k - 1] / k,
        }
        expected.update({f"{name}@{k}": float(value.mean()) for name, value in values.items()})
    return expected
