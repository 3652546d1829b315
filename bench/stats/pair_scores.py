"""A metric as a weighted mean over held-out pairs of a listener and an item, which `two_way` takes apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PairScores:
    """A metric as a weighted mean over P held-out pairs (listener, item), for each of S training seeds.

    values : (S, P); ``values @ weight`` is the metric of each seed
    weight : (P,), not negative, sums to 1; `pair_weights` gives those of a per-listener metric
    listener : (P,) codes from 0
    cluster : (P,) codes from 0, usually the artist of the item; `item_clusters` gives them

    Raises
    ------
    ValueError
        For arrays that do not fit together, no pair, values that are not finite, or weights that do not sum to 1.

    """

    values: NDArray[np.float64]
    weight: NDArray[np.float64]
    listener: NDArray[np.integer]
    cluster: NDArray[np.integer]

    def __post_init__(self) -> None:
        """Refuse arrays that do not describe the same pairs."""
        pairs = self.weight.shape
        shapes = [np.shape(each) for each in (self.values, self.weight, self.listener, self.cluster)]
        if shapes[0][1:] != pairs or len(pairs) != 1 or not all(shapes[0]) or {pairs, *shapes[2:]} != {pairs}:
            raise ValueError(f"expected values by seed and pair, and one entry per pair of the others, got {shapes}")
        if not np.isfinite(self.values).all():
            raise ValueError("values that are not finite: leave the pairs concerned out, and say so")
        if self.weight.min() < 0 or abs(self.weight.sum() - 1) > 1e-6:
            raise ValueError(f"weights must not be negative and must sum to 1, not to {self.weight.sum()}")

    @property
    def by_seed(self) -> NDArray[np.float64]:
        """The metric of each seed (S,)."""
        return np.asarray(self.values @ self.weight, np.float64)

    @cached_property
    def cell(self) -> NDArray[np.int64]:
        """Code (P,) of each pair of a listener and a cluster, from 0."""
        key = self.listener.astype(np.int64) * (int(self.cluster.max()) + 1) + self.cluster
        return np.unique(key, return_inverse=True)[1]

    @classmethod
    def of_listeners(cls, values: NDArray[np.float64]) -> PairScores:
        """Return scores of values by seed and listener (S, U), for intervals that take the items as given."""
        n = values.shape[1]
        return cls(values, np.full(n, 1 / n), np.arange(n), np.arange(n))


def pair_weights(listener: NDArray[np.integer], fold: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
    """Return the weights (P,) of a per-listener metric: 1 / (folds x listeners of the fold x pairs of the listener).

    Parameters
    ----------
    listener
        Code of the listener of each pair (P,), from 0.
    fold
        Code of the fold of each pair (P,), from 0; None for a single fold.

    """
    if fold is None:
        fold = np.zeros(len(listener), np.int64)
    key = fold * (int(listener.max(initial=0)) + 1) + listener.astype(np.int64)
    _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    _, of_fold, listeners = np.unique(fold[first], return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(listeners) * listeners[of_fold] * counts)[inverse], np.float64)


def item_clusters(artist: NDArray[np.integer], item: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the clusters (P,) of items: their artists (codes from 0), or the item itself where the artist is -1."""
    named = int(artist.max(initial=-1)) + 1
    return np.where(artist >= 0, artist, named + item.astype(np.int64))
