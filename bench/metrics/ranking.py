"""Accuracy of top-k lists against held-out items: one value per user, every k from one hit matrix.

Definitions are those of Music4All-Onion studies that use rs_metrics, with one difference: precision
always divides by k, whereas rs_metrics divides by the length of the returned list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_MARKS = 16 << 20
"""Bytes of the table that marks which items are relevant to a block of users."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The held-out items of each user in compressed rows.

    ``item[indptr[u]:indptr[u + 1]]`` are the items of the user in row u: ascending, none twice.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Refuse pointers that do not fit the items."""
        if len(self.indptr) == 0 or self.indptr[0] != 0 or self.indptr[-1] != len(self.item):
            raise ValueError(f"indptr must run from 0 to the number of items, {len(self.item)}")

    @classmethod
    def of(cls, user_rows: NDArray[np.integer], items: NDArray[np.integer], n_users: int) -> Truth:
        """Build from pairs (P,) in any order; pairs that occur twice count once."""
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
    """Return (U, K): is the item at this place of the list held out for this user?

    `topk` (U, K) holds item indexes, best first, no item twice in a list, -1 where there is none.

    Raises
    ------
    ValueError
        When the lists and the truth speak of different numbers of users.

    """
    n_users = len(truth.indptr) - 1
    if topk.ndim != 2 or len(topk) != n_users:
        raise ValueError(f"top-k lists have shape {topk.shape}, the truth has {n_users} users")
    found = np.zeros(topk.shape, np.bool_)
    if topk.size == 0:
        return found
    # Column 0 stands for "no item" and is never marked.
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
    """Hits of every list, and what the metrics share. Hits are few: sums run over them, not over all places."""

    hit: NDArray[np.bool_]
    """(U, K)"""
    sizes: NDArray[np.int64]
    """(U,), the number of held-out items, all above 0."""

    @cached_property
    def hits(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Whose each hit is and its place from 0, (H,) each, list by list from the head."""
        user, place = np.divmod(np.flatnonzero(self.hit), self.hit.shape[1])
        return user, place

    @cached_property
    def gains(self) -> NDArray[np.float64]:
        """Discount of each hit (H,)."""
        return discounts(self.hit.shape[1])[self.hits[1]]

    @cached_property
    def precisions(self) -> NDArray[np.float64]:
        """Precision at each hit (H,): its number in its list over its rank."""
        user, place = self.hits
        begins = np.searchsorted(user, np.arange(len(self.hit)))
        found: NDArray[np.float64] = (np.arange(1, len(user) + 1) - begins[user]) / (place + 1)
        return found

    def count(self, k: int) -> NDArray[np.int64]:
        """Return the hits in the first k (U,)."""
        counts: NDArray[np.int64] = np.count_nonzero(self.hit[:, :k], axis=1)
        return counts

    def summed(self, values: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        """Return the sums (U,) of values (H,) of the hits in the first k."""
        user, place = self.hits
        if k < self.hit.shape[1]:
            early = place < k
            user, values = user[early], values[early]
        sums: NDArray[np.float64] = np.bincount(user, values, minlength=len(self.hit)).astype(np.float64, copy=False)
        return sums

    @cached_property
    def first(self) -> NDArray[np.float64]:
        """Rank of the first hit (U,), infinite without one."""
        return np.where(self.hit.any(axis=1), self.hit.argmax(axis=1) + 1.0, np.inf)


def discounts(k: int) -> NDArray[np.float64]:
    """Return the weight 1 / log2(i + 1) of each rank i = 1..k."""
    return 1.0 / np.log2(np.arange(2, k + 2))


def ideal(sizes: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Return the discounted gain of a perfect list (U,): min(k, size) hits at its head."""
    best: NDArray[np.float64] = np.cumsum(discounts(k))[np.minimum(sizes, k) - 1]
    return best


def hitrate(ranked: Ranked, k: int) -> NDArray[np.float64]:
    """1 if any held-out item is among the first k, else 0."""
    return (ranked.count(k) > 0).astype(np.float64)


def recall(ranked: Ranked, k: int) -> NDArray[np.float64]:
    """Hits in the first k over the number of held-out items |T| (not over min(k, |T|))."""
    return ranked.count(k) / ranked.sizes


def precision(ranked: Ranked, k: int) -> NDArray[np.float64]:
    """Hits in the first k over k, also when fewer than k items were returned."""
    return ranked.count(k) / k


def ndcg(ranked: Ranked, k: int) -> NDArray[np.float64]:
    """Sum over hits of 1 / log2(rank + 1), over that of a list with min(k, |T|) hits at its head."""
    return ranked.summed(ranked.gains, k) / ideal(ranked.sizes, k)


def mrr(ranked: Ranked, k: int) -> NDArray[np.float64]:
    """1 / rank of the first hit, 0 without one in the first k."""
    return np.where(ranked.first <= k, 1.0 / ranked.first, 0.0)


def average_precision(ranked: Ranked, k: int) -> NDArray[np.float64]:
    """Sum over hits in the first k of the precision at their rank, over |T|."""
    return ranked.summed(ranked.precisions, k) / ranked.sizes


def average_precision_min(ranked: Ranked, k: int) -> NDArray[np.float64]:
    """As `average_precision`, over min(k, |T|): a perfect list scores 1 for any k."""
    return ranked.summed(ranked.precisions, k) / np.minimum(ranked.sizes, k)


METRICS: dict[str, tuple[Callable[[Ranked, int], NDArray[np.float64]], str]] = {
    "hitrate": (hitrate, "share of users with at least one held-out item among the first k"),
    "recall": (recall, "share of a user's held-out items found among the first k"),
    "ndcg": (ndcg, "hits discounted by 1 / log2(rank + 1), relative to the best possible list"),
    "mrr": (mrr, "1 / rank of the first hit, 0 if the first k hold none"),
    "map": (average_precision, "precision averaged over all held-out items, those not found counting 0"),
    "map_min": (average_precision_min, "as map, but divided by min(k, number of held-out items)"),
    "precision": (precision, "share of the k places that hold a held-out item"),
}
"""Metric name -> (function, one line of glossary)."""

ALL: tuple[str, ...] = tuple(METRICS)


def evaluate(
    topk: NDArray[np.int32], truth: Truth, ks: Iterable[int], names: Sequence[str] = ALL
) -> dict[str, NDArray[np.float64]]:
    """Return the metrics of every user, ``{"hitrate@10": (U,), ...}``; the mean over users is the score.

    Users without a hit count 0. Users without held-out items must be left out beforehand.

    Parameters
    ----------
    topk
        Item indexes (U, K), best first, no item twice in a list, -1 where there is none.
    truth
        Held-out items of the same users, in the same order.
    ks
        Lengths at which to cut the lists, each in 1..K.
    names
        Metrics, from `METRICS`.

    Raises
    ------
    ValueError
        For users without held-out items, an unknown metric or a k outside 1..K.

    """
    ks = list(ks)
    if unknown := [name for name in names if name not in METRICS]:
        raise ValueError(f"unknown metrics {unknown}; known are {', '.join(METRICS)}")
    ranked = Ranked(hits(topk, truth), truth.sizes)
    if wrong := [k for k in ks if not 1 <= k <= topk.shape[1]]:
        raise ValueError(f"k = {wrong[0]} is outside 1..{topk.shape[1]}, the length of the lists: rank with a larger k")
    if empty := int((ranked.sizes == 0).sum()):
        raise ValueError(f"{empty} of {len(topk)} users have no held-out item: leave them out before ranking")
    return {f"{name}@{k}": METRICS[name][0](ranked, k) for name in names for k in ks}
