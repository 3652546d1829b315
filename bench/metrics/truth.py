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
    """The hits of every user, sorted by user and position. Hits are rare, so that metrics sum over them alone."""

    user: NDArray[np.int64]
    """Row of the user of each hit (H,)."""
    place: NDArray[np.int64]
    """Position of each hit (H,), from 0."""
    sizes: NDArray[np.int64]
    """Number of held-out items of each user (U,), all above 0."""

    @classmethod
    def of(cls, hit: NDArray[np.bool_], sizes: NDArray[np.int64]) -> Ranked:
        """Create from a mask (U, K) of hits and the numbers of held-out items (U,)."""
        user, place = np.divmod(np.flatnonzero(hit), hit.shape[1])
        return cls(user, place, sizes)

    def first(self, k: int) -> Ranked:
        """Return the hits in the first k."""
        early = self.place < k
        return self if early.all() else Ranked(self.user[early], self.place[early], self.sizes)

    @cached_property
    def gains(self) -> NDArray[np.float64]:
        """Rank discount of each hit (H,)."""
        return discounts(int(self.place.max(initial=0)) + 1)[self.place]

    @cached_property
    def before(self) -> NDArray[np.int64]:
        """Number of hits of the same user before each hit (H,)."""
        found: NDArray[np.int64] = np.arange(len(self.user)) - np.searchsorted(self.user, self.user)
        return found

    def summed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum per user (U,) of a value of each hit (H,)."""
        sums = np.bincount(self.user, values, minlength=len(self.sizes))
        return sums.astype(np.float64, copy=False)  # without hits, NumPy counts in integers


def discounts(k: int) -> NDArray[np.float64]:
    """Return the weight 1 / log2(i + 1) of each rank i = 1..k."""
    return 1.0 / np.log2(np.arange(2, k + 2))


def ideal(sizes: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Return the discounted gain of a perfect list (U,): min(k, size) hits at the top."""
    best: NDArray[np.float64] = np.cumsum(discounts(k))[np.minimum(sizes, k) - 1]
    return best
