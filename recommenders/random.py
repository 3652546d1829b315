"""Random scores: the chance level, measured by the same code as every model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Interactions, Items, Recommender, RunContext, Validator


class Random(Recommender):
    """Uniform scores; the row of a user depends on the seed and the user only."""

    name = "random"
    needs = frozenset()
    deterministic = False

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Keep the number of items and the seed."""
        self._n_items, self._seed = train.n_items, run.seed

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> NDArray[np.float32]:
        """Return SplitMix64 of (seed, user, item) as uniform numbers in [0, 1), (B, n_items)."""
        columns = np.arange(self._n_items, dtype=np.uint64)
        cells = users.astype(np.uint64)[:, None] * np.uint64(self._n_items) + columns
        bits = _mix(_mix(cells) ^ _mix(np.full((1, 1), self._seed, np.uint64)))
        return np.asarray((bits >> np.uint64(40)) / 2**24, dtype=np.float32)


def _mix(x: Any) -> Any:
    """Return the SplitMix64 hash of 64-bit words (Steele, Lea & Flood 2014), which relies on wrapping overflow."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
