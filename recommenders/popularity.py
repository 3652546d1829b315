"""Most listeners first: the baseline that every comparison carries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Interactions, Items, Recommender, RunContext, Validator


class Popularity(Recommender):
    """Score = number of training listeners; a cold track has none, so among cold tracks ties decide."""

    name = "popularity"
    needs = frozenset()

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Count listeners."""
        self._scores = np.bincount(train.item, minlength=train.n_items).astype(np.float32)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> NDArray[np.float32]:
        """Return the same row (n_items,) for everybody, as a read-only view (B, n_items)."""
        return np.broadcast_to(self._scores, (len(users), len(self._scores)))
