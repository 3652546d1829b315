"""The values of a row on one candidate set, by user or by held-out pair, and what statistics need of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics import range_of
from bench.report.pairs import Pairs
from bench.stats import (
    Components,
    Interval,
    PairedTest,
    PairScores,
    Scores,
    difference,
    paired_tests,
    two_way,
    two_way_tests,
)


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

    def of(self, metric: str) -> NDArray[np.float64]:
        """Return the values (S, U) of a metric."""
        values: NDArray[np.float64] = self.table[self.metrics.index(metric)]
        return values

    def components(self, metric: str) -> Components:
        """Return the mean of a metric, and its variance over users, artists if the items are new, and seeds."""
        return two_way(self.pairs.scores(metric)) if self.pairs else two_way(_by_user(self.of(metric)), items=False)

    def interval(self, metric: str) -> Interval | None:
        """Return the 95 % interval of a metric, within its range; None if its variance is unknown or 0."""
        found, (low, high) = self.components(metric).interval(), range_of(metric)
        return found and Interval(max(low, found.low), min(high, found.high))

    def is_paired(self, other: Values) -> bool:
        """Whether both have the same held-out pairs, so that differences vary over artists as well."""
        return self.pairs is not None and other.pairs is not None and self.pairs.key == other.pairs.key

    def less(self, other: Values, metric: str) -> Components:
        """Return the difference of a metric from that of another row with the same users."""
        if self.pairs and other.pairs and self.is_paired(other):
            return difference(self.pairs.scores(metric), other.pairs.scores(metric))
        return difference(_by_user(self.of(metric)), _by_user(other.of(metric)), items=False)


def tested(pairs: Sequence[tuple[Values, Values, str]], comparisons: int) -> list[PairedTest]:
    """Return the test of each difference (first less second) in a metric, over users, seeds, and artists where known.

    Artists count where both rows have ranks of the same held-out pairs.
    """
    found: dict[int, PairedTest] = {}
    both = [
        (at, a.pairs, b.pairs, metric)
        for at, (a, b, metric) in enumerate(pairs)
        if a.pairs and b.pairs and a.is_paired(b)
    ]
    scores = ((a.scores(metric), b.scores(metric)) for _, a, b, metric in both)
    tests = two_way_tests(scores, comparisons=comparisons)
    found.update((at, test) for (at, *_), (test, _) in zip(both, tests, strict=True))
    rest = [at for at in range(len(pairs)) if at not in found]
    users = [(Scores.of(a.of(metric)), Scores.of(b.of(metric))) for a, b, metric in (pairs[at] for at in rest)]
    found.update(zip(rest, paired_tests(users, comparisons=comparisons), strict=True))
    return [found[at] for at in range(len(pairs))]


def _by_user(values: NDArray[np.float64]) -> PairScores:
    """Return values (S, U) as if each user had one held-out item."""
    users = np.arange(values.shape[1])
    return PairScores(values, np.full(len(users), 1 / len(users)), users, users)
