"""Intervals, tests and equivalence of metrics over listeners x items x seeds.

The value of a held-out pair depends on its listener and on its item, and pairs share both. An interval over listeners
alone is too narrow for cold items, because it takes the items as given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.stats.bootstrap import Interval
from bench.stats.pair_scores import PairScores
from bench.stats.paired import PairedTest, Scores, paired_tests

FEW_SEEDS = 5
"""Number of seeds below which results are marked."""


class Part(NamedTuple):
    """A variance of the mean, its degrees of freedom, and the number of listeners, clusters or seeds it comes from."""

    variance: float
    df: float
    n: int


@dataclass(frozen=True)
class Components:
    """A mean and the parts of its variance.

    mean : of the metric, or of a difference of two metrics
    listeners, clusters : variance over listeners, and over clusters of items
    pairs : variance over pairs of a listener and a cluster, which both of them contain; it is subtracted
    seeds : variance over training seeds; 0 with one seed
    positive : whether no value is below 0, so that the interval of the mean is not either
    """

    mean: float
    listeners: Part
    clusters: Part
    pairs: Part
    seeds: Part
    positive: bool = False

    @property
    def variance(self) -> float:
        """Variance of the mean; never below that over listeners alone, or over clusters alone."""
        one, other = self.listeners.variance, self.clusters.variance
        return max(one, other, one + other - self.pairs.variance) + self.seeds.variance

    @property
    def df(self) -> float:
        """Degrees of freedom of `variance` (Satterthwaite 1946); 0 if a part has none."""
        parts = [self.listeners, self.clusters, self.seeds]
        if any(part.df <= 0 for part in parts if part.variance):
            return 0.0
        # Both variances contain that over pairs: its part of the error must not count twice.
        error = sum(part.variance**2 / part.df for part in parts)
        error -= self.pairs.variance**2 / self.pairs.df if self.pairs.df > 0 else 0.0
        largest = max(part.variance**2 / part.df for part in parts)
        return self.variance**2 / max(error, largest) if largest else math.inf

    @property
    def few_seeds(self) -> bool:
        """Whether there are fewer than `FEW_SEEDS` seeds; a model that draws no random numbers needs only one."""
        return self.seeds.n < FEW_SEEDS

    @property
    def p(self) -> float:
        """Two-sided p of the mean being 0, from Student's t; 1 if the variance is unknown or nothing differs."""
        from scipy.special import stdtr

        if not self.df or not self.mean:
            return 1.0
        return float(2 * stdtr(self.df, -abs(self.mean) / math.sqrt(self.variance))) if self.variance else 0.0

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the interval of the mean from Student's t; None if the variance is unknown."""
        if not self.df or not self.variance:
            return None
        half = _quantile(self.df, (1 + level) / 2) * math.sqrt(self.variance)
        return Interval(self.mean - half, self.mean + half)


def two_way(scores: PairScores) -> Components:
    """Return the mean of a metric, and its variance over listeners, clusters of items, and seeds."""
    by_seed = scores.by_seed
    residual = scores.weight * (scores.values.mean(axis=0) - by_seed.mean())
    return _components(
        scores, float(by_seed.mean()), residual, _seeds(by_seed), positive=bool(scores.values.min() >= 0)
    )


def difference(a: PairScores, b: PairScores) -> Components:
    """Return the paired difference of two models on the same pairs; the seeds of the two are independent.

    Raises
    ------
    ValueError
        For different pairs or weights.

    """
    for name in ("weight", "listener", "cluster"):
        if not np.array_equal(getattr(a, name), getattr(b, name)):
            raise ValueError(f"the two models must have the same pairs: they differ in {name}")
    first, second = a.by_seed, b.by_seed
    mean = float(first.mean() - second.mean())
    x, y = a.values.mean(axis=0), b.values.mean(axis=0)
    apart = x - y
    # Means of equal values over seeds can differ by rounding.
    apart[np.abs(apart) <= 1e-12 * np.maximum(np.abs(x), np.abs(y))] = 0.0
    if not apart.any():
        mean = 0.0
    seeds = _both([_seeds(first), _seeds(second)])
    return _components(a, mean, a.weight * (apart - mean), seeds, positive=False)


def two_way_tests(
    pairs: Sequence[tuple[PairScores, PairScores]], *, comparisons: int = 1, seed: int = 0
) -> list[tuple[PairedTest, Components]]:
    """Test the differences of models on cold items, where listeners and items are both a sample.

    p is the larger of two: that of `paired_tests` over listeners and seeds, which holds for few and sparse values, and
    that of `Components`, which adds the items.

    Parameters
    ----------
    pairs
        Two models each, all on the same pairs of listener and item.
    comparisons, seed
        As for `paired_test`.

    """
    tests = paired_tests([(_by_listener(a), _by_listener(b)) for a, b in pairs], comparisons=comparisons, seed=seed)
    found = [difference(a, b) for a, b in pairs]
    return [(test._replace(p=max(test.p, each.p)), each) for test, each in zip(tests, found, strict=True)]


def _by_listener(scores: PairScores) -> Scores:
    """Return what each listener adds to the metric, times their number, so that the mean is the metric."""
    total = np.bincount(scores.listener, weights=scores.weight * scores.values.mean(axis=0))
    total = total[np.bincount(scores.listener) > 0]
    seeds = _seeds(scores.by_seed)
    return Scores(total * len(total), seeds.variance, seeds.n - 1)


def _seeds(by_seed: NDArray[np.float64]) -> Part:
    """Return the variance over seeds of the mean of their values (S,); 0 with a single seed."""
    n = len(by_seed)
    return Part(float(by_seed.var(ddof=1)) / n, n - 1, n) if n > 1 else Part(0.0, math.inf, 1)


def _both(parts: list[Part]) -> Part:
    """Return the sum of independent variances; its number of seeds is the mean, weighted by variance."""
    variance = sum(part.variance for part in parts)
    if not variance:
        return Part(0.0, math.inf, min(part.n for part in parts))
    error = sum(part.variance**2 / part.df for part in parts)
    return Part(variance, variance**2 / error, round(sum(part.variance * part.n for part in parts) / variance))


def _components(
    scores: PairScores, mean: float, residual: NDArray[np.float64], seeds: Part, *, positive: bool
) -> Components:
    cell = scores.listener.astype(np.int64) * (int(scores.cluster.max()) + 1) + scores.cluster
    codes = (scores.listener, scores.cluster, np.unique(cell, return_inverse=True)[1])
    return Components(mean, *(_over(each, scores.weight, residual) for each in codes), seeds, positive)


def _over(code: NDArray[np.integer], weight: NDArray[np.float64], residual: NDArray[np.float64]) -> Part:
    """Return the variance of a weighted mean over the groups of a code, from weighted residuals (P,)."""
    share = np.bincount(code, weights=weight)
    total = np.bincount(code, weights=residual)
    total, share = total[share > 0], share[share > 0]
    n, squares = len(share), float(share @ share)
    left = 1 - 2 * share + squares
    if n < 2:
        return Part(float(total @ total), 0.0, n)
    c = share**2 / left
    moment = [float(c.sum()), float(c @ share), float(c @ share**2)]
    spread = squares**2 * moment[0] ** 2 + 2 * moment[2] * moment[0] - 4 * squares * moment[1] * moment[0]
    spread += 2 * moment[1] ** 2 + float((c**2) @ (1 + 2 * (squares - 2 * share)))
    return Part(float(total**2 @ (1 / left)), squares**2 / spread, n)


def _quantile(df: float, share: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(min(df, 1e12), share))


class Equivalence(NamedTuple):
    """Two one-sided tests: p, and whether the mean lies within the margin at the level asked for."""

    p: float
    equivalent: bool


def equivalence(components: Components, margin: float, alpha: float = 0.05) -> Equivalence:
    """Test whether a difference lies within -margin to margin, by two one-sided t tests (TOST).

    Raises
    ------
    ValueError
        For a margin that is not positive.

    References
    ----------
    Schuirmann, A comparison of the two one-sided tests procedure and the power approach (1987).

    """
    from scipy.special import stdtr

    if not margin > 0:
        raise ValueError(f"the margin of equivalence must be positive, not {margin}")
    if not components.df or not components.variance:
        return Equivalence(1.0, False)
    inside = (margin - abs(components.mean)) / math.sqrt(components.variance)
    p = float(stdtr(components.df, -inside))
    return Equivalence(p, p <= alpha)
