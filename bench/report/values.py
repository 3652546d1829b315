"""The values of a row on one candidate set, by user or by held-out pair, and what statistics need of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.stats import NOTHING, Components, PairScores, Scores, difference, two_way


@dataclass(frozen=True, eq=False)
class Pairs:
    """The ranks of a row's held-out pairs (listener, item), whose values depend on listeners and on artists.

    key : hash of the pairs; rows with the same key have the same pairs in the same order
    rank : ranks (S, P) by seed
    scores : function from the name of a metric to its values
    """

    key: str
    rank: NDArray[np.int32]
    scores: Callable[[str], PairScores]


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a row on one candidate set.

    users : hash of the users' names
    metrics : names of the M metrics
    table : values (M, S, U) by metric, seed and user, users sorted by name; their mean over users is the metric. With
        several folds, the value of a user is the sum of that user's shares in the mean over folds, times U
    pairs : the held-out pairs of cold or mixed sets; None for hot sets, and without usable ranks
    """

    users: str
    metrics: list[str]
    table: NDArray[np.float64]
    pairs: Pairs | None = None

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.table.nbytes + (self.pairs.rank.nbytes if self.pairs else 0)

    def by_user(self, metric: str) -> Scores:
        """Return what the test over users needs."""
        return Scores.of(self.table[self.metrics.index(metric)])

    def components(self, metric: str) -> Components:
        """Return the mean of a metric and its variance: over listeners, artists if the items are new, and seeds."""
        if self.pairs:
            return two_way(self.pairs.scores(metric))
        return _of_users(two_way(self._user_scores(metric)))

    def is_paired(self, other: Values) -> bool:
        """Whether both have the same held-out pairs, so that differences vary over artists as well."""
        return self.pairs is not None and other.pairs is not None and self.pairs.key == other.pairs.key

    def less(self, other: Values, metric: str) -> Components:
        """Return the difference of a metric from that of another row with the same users."""
        if self.pairs and other.pairs and self.is_paired(other):
            return difference(self.pairs.scores(metric), other.pairs.scores(metric))
        return _of_users(difference(self._user_scores(metric), other._user_scores(metric)))

    def _user_scores(self, metric: str) -> PairScores:
        """Return the values of users as if each had one held-out item."""
        values = self.table[self.metrics.index(metric)]
        users = np.arange(values.shape[1])
        return PairScores(values, np.full(len(users), 1 / len(users)), users, users)


def _of_users(found: Components) -> Components:
    """Return components without a variance over items."""
    return replace(found, clusters=NOTHING, pairs=NOTHING)
