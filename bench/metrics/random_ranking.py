"""Exact expected values of a uniformly random ranking, without simulation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.metrics.truth import discounts


@dataclass(frozen=True, eq=False)
class RandomRanking:
    """Expected values over all orders of each user's candidates; column k - 1 is for the first k ranks.

    Let R of N candidates in random order be relevant. The item at a given rank is relevant with
    probability R / N, the items at two given ranks both are with R (R - 1) / (N (N - 1)), and none of the
    first i items is with C(N - R, i) / C(N, i) = prod_{j < i} (N - R - j) / (N - j).
    """

    total: NDArray[np.float64]
    """Number of candidates of each user (U, 1), N above."""
    relevant: NDArray[np.float64]
    """Number of held-out items of each user (U,)."""
    found: NDArray[np.float64]
    """Number of held-out items that are candidates (U, 1), R above."""
    length: int
    """The largest k."""

    @classmethod
    def of(
        cls,
        n_candidates: NDArray[np.integer],
        n_relevant: NDArray[np.integer],
        length: int,
        reachable: NDArray[np.integer] | None = None,
    ) -> RandomRanking:
        """Create from counts per user, (U,) each; without `reachable`, every held-out item is a candidate.

        Raises
        ------
        ValueError
            For users without held-out items, or with more reachable items than candidates.

        """
        total, relevant = np.asarray(n_candidates, np.float64), np.asarray(n_relevant, np.float64)
        found = relevant if reachable is None else np.asarray(reachable, np.float64)
        if (relevant < 1).any():
            raise ValueError(f"{int((relevant < 1).sum())} of {len(relevant)} users have no held-out item")
        if (found > np.minimum(total, relevant)).any():
            raise ValueError("a user has more reachable items than candidates or held-out items")
        return cls(total[:, None], relevant, found[:, None], length)

    @cached_property
    def rank(self) -> NDArray[np.float64]:
        """Ranks (K,) from 1."""
        return np.arange(1, self.length + 1, dtype=np.float64)

    @cached_property
    def hit(self) -> NDArray[np.float64]:
        """Probability of a hit at each rank (U, K); 0 after the last candidate."""
        return np.where(self.rank <= self.total, self.found / np.maximum(self.total, 1), 0.0)

    @cached_property
    def count(self) -> NDArray[np.float64]:
        """Expected number of hits in the first k (U, K)."""
        return np.cumsum(self.hit, axis=1)

    @cached_property
    def gain(self) -> NDArray[np.float64]:
        """Expected sum over hits of 1 / log2(rank + 1) (U, K)."""
        return np.cumsum(self.hit * discounts(self.length), axis=1)

    @cached_property
    def precisions(self) -> NDArray[np.float64]:
        """Expected sum over hits of the precision at their rank (U, K)."""
        # Given a hit at rank i, the expected number of hits before it is (i - 1) (R - 1) / (N - 1).
        others = np.maximum(self.found - 1, 0) / np.maximum(self.total - 1, 1)
        return np.cumsum(self.hit * (1 + (self.rank - 1) * others) / self.rank, axis=1)

    @cached_property
    def miss(self) -> NDArray[np.float64]:
        """Probability of no hit in the first k (U, K)."""
        drawn = self.rank - 1
        each = np.maximum(self.total - self.found - drawn, 0) / np.maximum(self.total - drawn, 1)
        return np.cumprod(np.where(self.rank <= self.total, each, 1.0), axis=1, dtype=np.float64)

    @cached_property
    def reciprocal(self) -> NDArray[np.float64]:
        """Expected 1 / rank of the first hit, which counts 0 without a hit in the first k (U, K)."""
        before = np.concatenate([np.ones_like(self.total), self.miss[:, :-1]], axis=1)
        return np.cumsum((before - self.miss) / self.rank, axis=1)
