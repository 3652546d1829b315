"""Held-out items, the hits of top-k lists, and the sums over hits that metrics share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_MARKS = 16 << 20
"""Maximum bytes of the table of relevant items for a block of users."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The held-out items of each user in compressed rows.

    ``item[indptr[u]:indptr[u + 1]]`` are the items of the user in row u, ascending and without duplicates.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Check that the pointers match the items."""
        if len(self.indptr) == 0 or self.indptr[0] != 0 or self.indptr[-1] != len(self.item):
            raise ValueError(f"indptr must run from 0 to the number of items, {len(self.item)}")

    @classmethod
    def of(cls, user_rows: NDArray[np.integer], items: NDArray[np.integer], n_users: int) -> Truth:
        """Create from pairs (P,) in any order; duplicate pairs count once."""
        if len(user_rows) and not 0 <= user_rows.min() <= user_rows.max() < n_users:
            raise ValueError(f"user rows must lie in 0..{n_users - 1}")
        if len(items) and items.min() < 0:
            raise ValueError("item indexes must not be negative")
        width = int(items.max()) + 1 if len(items) else 1
        keys = np.unique(user_rows.astype(np.int64) * width + items)
        indptr = np.searchsorted(keys, np.arange(n_users + 1, dtype=np.int64) * width)
        return cls(indptr.astype(np.int64), (keys % width).astype(np.int32))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of held-out items of each user (U,)."""
        return np.diff(self.indptr)


def hits(topk: NDArray[np.int32], truth: Truth) -> NDArray[np.bool_]:
    """Return a mask (U, K) of the list positions whose item is held out for the user.

    `topk` (U, K) has item indexes, best first, without duplicates in a list, -1 for no item.

    Raises
    ------
    ValueError
        When the lists and the truth have different numbers of users.

    """
    n_users = len(truth.indptr) - 1
    if topk.ndim != 2 or len(topk) != n_users:
        raise ValueError(f"top-k lists have shape {topk.shape}, the truth has {n_users} users")
    found = np.zeros(topk.shape, np.bool_)
    if topk.size == 0:
        return found
    # Column 0 means "no item" and is never marked.
    width = 2 + max(int(topk.max()), int(truth.item.max(initial=-1)))
    rows = min(n_users, max(1, _MARKS // width))
    marks = np.zeros(rows * width, np.bool_)
    sizes = truth.sizes
    for start in range(0, n_users, rows):
        stop = min(start + rows, n_users)
        offset = np.arange(stop - start, dtype=np.int64) * width + 1
        items = truth.item[truth.indptr[start] : truth.indptr[stop]]
        marked = np.repeat(offset, sizes[start:stop]) + items
        marks[marked] = True
        found[start:stop] = marks[topk[start:stop] + offset[:, None]]
        marks[marked] = False
    return found


@dataclass(frozen=True, eq=False)
class Ranked:
    """Hits of every list, and sums shared by metrics. Hits are rare, so sums run over hits, not over all positions."""

    hit: NDArray[np.bool_]
    """Mask (U, K) of hits."""
    sizes: NDArray[np.int64]
    """Number of held-out items of each user (U,), all above 0."""

    @cached_property
    def hits(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """User and position (from 0) of each hit, (H,) each, sorted by user and position."""
        user, place = np.divmod(np.flatnonzero(self.hit), self.hit.shape[1])
        return user, place

    @cached_property
    def gains(self) -> NDArray[np.float64]:
        """Rank discount of each hit (H,)."""
        return discounts(self.hit.shape[1])[self.hits[1]]

    @cached_property
    def precisions(self) -> NDArray[np.float64]:
        """Precision at the rank of each hit (H,)."""
        user, place = self.hits
        begins = np.searchsorted(user, np.arange(len(self.hit)))
        found: NDArray[np.float64] = (np.arange(1, len(user) + 1) - begins[user]) / (place + 1)
        return found

    def count(self, k: int) -> NDArray[np.int64]:
        """Return the number of hits in the first k (U,)."""
        counts: NDArray[np.int64] = np.count_nonzero(self.hit[:, :k], axis=1)
        return counts

    def summed(self, values: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        """Return the sum per user (U,) of the values (H,) of hits in the first k."""
        user, place = self.hits
        if k < self.hit.shape[1]:
            early = place < k
            user, values = user[early], values[early]
        sums: NDArray[np.float64] = np.bincount(user, values, minlength=len(self.hit)).astype(np.float64, copy=False)
        return sums

    @cached_property
    def first(self) -> NDArray[np.float64]:
        """Rank of the first hit (U,), infinite without a hit."""
        return np.where(self.hit.any(axis=1), self.hit.argmax(axis=1) + 1.0, np.inf)


def discounts(k: int) -> NDArray[np.float64]:
    """Return the weight 1 / log2(i + 1) of each rank i = 1..k."""
    return 1.0 / np.log2(np.arange(2, k + 2))


def ideal(sizes: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Return the discounted gain of a perfect list (U,): min(k, size) hits at the top."""
    best: NDArray[np.float64] = np.cumsum(discounts(k))[np.minimum(sizes, k) - 1]
    return best
