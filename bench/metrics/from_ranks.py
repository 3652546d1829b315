"""Metrics of lists from the ranks of held-out items, at any cut-off: per user, and per held-out item."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.metrics.ranking import METRICS, values_of
from bench.metrics.truth import Ranked


class Ranks(Protocol):
    """The ranks of the held-out items of U users, such as `bench.records.ranks.HeldOut`."""

    @property
    def indptr(self) -> NDArray[np.int64]:
        """The pairs of user u are ``indptr[u]:indptr[u + 1]``, at least one for each user."""
        ...

    @property
    def rank(self) -> NDArray[np.int32]:
        """Rank (P,) of each pair's item, from 1; 0 if it cannot be listed."""
        ...


def per_user(metric: str, k: int, held_out: Ranks) -> NDArray[np.float64]:
    """Return the values (U,) that `bench.metrics.evaluate` returns for lists, to the last bit.

    `metric` is a name in `bench.metrics.METRICS`, without its k. For several of them, pass the hits to
    `bench.metrics.ranking.values_of`.
    """
    return values_of(hits_of(held_out, k)[0], [k], [metric])[f"{metric}@{k}"]


def pair_values(metric: str, k: int, held_out: Ranks) -> NDArray[np.float64]:
    """Return a value (P,) of each held-out item whose mean over a user's items is the user's metric at k.

    Hit rate and MRR are credited to the user's first hit.
    """
    return credits_of(metric, k, *hits_of(held_out, k), len(held_out.rank))


def credits_of(metric: str, k: int, hits: Ranked, pair: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """Return what `pair_values` returns for n pairs, from the result of `hits_of`, which metrics at k share."""
    norm = np.broadcast_to(METRICS[metric].norm(hits.sizes, k), hits.sizes.shape)
    out = np.zeros(n)
    out[pair] = METRICS[metric].credit(hits) * (hits.sizes / norm)[hits.user]
    return out


def hits_of(held_out: Ranks, k: int) -> tuple[Ranked, NDArray[np.intp]]:
    """Return the hits in the first k, and the pair (H,) of each."""
    rank = held_out.rank
    pair = np.flatnonzero((rank > 0) & (rank <= k))
    user = np.searchsorted(held_out.indptr, pair, side="right") - 1
    order = np.lexsort((rank[pair], user))
    pair, user = pair[order], user[order]
    return Ranked(user, rank[pair] - np.int64(1), np.diff(held_out.indptr)), pair
