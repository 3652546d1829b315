"""Triplets of a co-listen graph: an anchor, its neighbour, and a neighbour of that one but not of the anchor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

TRIES = 16
"""Draws of a negative for one pair of anchor and positive, before another pair is drawn."""

FEWEST = 256
"""Pairs drawn at once at least."""


class TripletSampler:
    """Draws triplets from a graph of N recordings.

    Parameters
    ----------
    edges : pairs (E, 2) of neighbours, each once
    n : number of recordings

    """

    def __init__(self, edges: NDArray[np.int64], n: int):
        both = np.concatenate([edges, edges[:, ::-1]])
        # Sorted, so that a search says whether two recordings are neighbours.
        self._keys = np.sort(both[:, 0] * n + both[:, 1])
        self._anchor, self._neighbour = np.divmod(self._keys, n)
        self._starts = np.searchsorted(self._anchor, np.arange(n + 1))
        self._place = np.full(n, -1)
        self._n = n

    def linked(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the recordings `a` and `b` (M,) are neighbours."""
        wanted = a * self._n + b
        at = np.searchsorted(self._keys, wanted)
        return np.asarray(self._keys[np.minimum(at, len(self._keys) - 1)] == wanted)

    def draw(self, rng: np.random.Generator, number: int) -> NDArray[np.int64]:
        """Return `number` triplets (number, 3): anchor, positive, negative.

        Pairs of anchor and positive are drawn from all edges in both directions. A pair without a possible negative
        is replaced by another pair.

        Raises
        ------
        BenchError
            No pair has a negative: in every part of the graph, all are neighbours of one another.

        """
        found: list[NDArray[np.int64]] = []
        missing, barren = number, 0
        while missing > 0:
            pairs = max(missing, FEWEST)
            edge = rng.integers(0, len(self._keys), pairs)
            anchor, positive = self._anchor[edge], self._neighbour[edge]
            negative = np.full(pairs, -1)
            open_ = np.arange(pairs)
            for _ in range(TRIES):
                first, last = self._starts[positive[open_]], self._starts[positive[open_] + 1]
                other = self._neighbour[rng.integers(first, last)]
                fits = (other != anchor[open_]) & ~self.linked(anchor[open_], other)
                negative[open_[fits]] = other[fits]
                open_ = open_[~fits]
                if not len(open_):
                    break
            triplets = np.stack([anchor, positive, negative], axis=1)[negative >= 0]
            barren = 0 if len(triplets) else barren + 1
            if barren == TRIES:
                raise BenchError(
                    "the co-listen graph has no triplets: neighbours of neighbours are neighbours. Raise listeners=."
                )
            found.append(triplets)
            missing -= len(triplets)
        return np.concatenate(found)[:number]

    def allowed(self, anchor: NDArray[np.int64], negative: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the negatives (T,) are neither an anchor (T,) itself nor its neighbours: (T, T)."""
        unique, columns = np.unique(negative, return_inverse=True)
        self._place[unique] = np.arange(len(unique))
        first, last = self._starts[anchor], self._starts[anchor + 1]
        near = np.concatenate(
            [self._neighbour[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)] + [anchor]
        )
        row = np.concatenate([np.repeat(np.arange(len(anchor)), last - first), np.arange(len(anchor))])
        place = self._place[near]
        inside = place >= 0
        out = np.ones((len(anchor), len(unique)), np.bool_)
        out[row[inside], place[inside]] = False
        self._place[unique] = -1
        return out[:, columns]
