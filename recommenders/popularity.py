"""Popularity: tracks with the most listeners first, the baseline of every comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Interactions, Items, Recommender, RunContext, Validator


class Popularity(Recommender):
    """Scores a track by its number of training listeners; cold tracks have none, so all of them tie."""

    name = "popularity"
    needs = frozenset()

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Count listeners."""
        self._scores = np.bincount(train.item, minlength=train.n_items).astype(np.float32)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> NDArray[np.float32]:
        """Return the same row (n_items,) for every user, as a read-only view (B, n_items)."""
        return np.broadcast_to(self._scores, (len(users), len(self._scores)))
