"""Means and differences over listeners x items x seeds.

The value of a held-out pair depends on its listener and on its item, and pairs share both. An interval over listeners
alone takes the items as given; on cold items it is far too narrow (`benchmarks/coverage.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.stats.components import Components, Part
from bench.stats.pair_scores import PairScores
from bench.stats.paired import PairedTest, Scores, paired_tests


def two_way(scores: PairScores, *, items: bool = True) -> Components:
    """Return the mean of a metric, and its variance over listeners, clusters of items, and seeds.

    Without `items`, these are taken as given, and only listeners and seeds vary.

    The variance over listeners comes from their totals of the weighted residuals, and so do the others. That is the
    variance of the pigeonhole bootstrap in closed form, less what this counts twice. Each squared total is divided by
    its expected share for few or unequal groups (Bell and McCaffrey 2002).

    References
    ----------
    Owen, The pigeonhole bootstrap (2007). Cameron, Gelbach and Miller, Robust inference with multiway clustering
    (2011). Bell and McCaffrey, Bias reduction in standard errors for linear regression with multi-stage samples (2002).
    Satterthwaite, An approximate distribution of estimates of variance components (1946).

    """
    by_seed, values = scores.by_seed, scores.values.mean(axis=0)
    mean, positive = float(by_seed.mean()), bool(values.min() >= 0)
    residual = scores.weight * (values - mean)
    return _components(scores, mean, residual, _seeds(by_seed), scores.weight * values if positive else None, items)


def difference(a: PairScores, b: PairScores, *, items: bool = True) -> Components:
    """Return the paired difference of two models on the same pairs; the seeds of the two are independent.

    `items` is that of `two_way`.

    Raises
    ------
    ValueError
        For different pairs or weights.

    """
    for name in ("weight", "listener", "cluster"):
        if not np.array_equal(getattr(a, name), getattr(b, name)):
            raise ValueError(f"the two models must have the same pairs: they differ in {name}")
    x, y = a.values.mean(axis=0), b.values.mean(axis=0)
    apart = x - y
    # Means of equal values over seeds can differ by rounding.
    apart[np.abs(apart) <= 1e-12 * np.maximum(np.abs(x), np.abs(y))] = 0.0
    mean = float(apart @ a.weight)
    parts = [_seeds(each.by_seed) for each in (a, b)]
    variance = sum(part.variance for part in parts)
    if variance:
        df = variance**2 / sum(part.variance**2 / part.df for part in parts)
        seeds = Part(variance, df, round(sum(part.variance * part.n for part in parts) / variance))
    else:
        seeds = Part(0.0, math.inf, min(part.n for part in parts))
    return _components(a, mean, a.weight * (apart - mean), seeds, None, items)


def two_way_tests(
    pairs: Sequence[tuple[PairScores, PairScores]], *, comparisons: int = 1, seed: int = 0
) -> list[tuple[PairedTest, Components]]:
    """Test the differences of models on cold items, where listeners and items are both a sample.

    p is the larger of two: that of `paired_tests` over listeners and seeds, which is exact for few and sparse values,
    and that of the `difference` over listeners, items and seeds.

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
    total = np.bincount(scores.listener, scores.weight * scores.values.mean(axis=0))
    total = total[np.bincount(scores.listener) > 0]
    seeds = _seeds(scores.by_seed)
    return Scores(np.multiply(total, len(total), dtype=np.float64), seeds.variance, seeds.n - 1)


def _seeds(by_seed: NDArray[np.float64]) -> Part:
    """Return the variance over seeds of the mean of their values (S,)."""
    n = len(by_seed)
    return Part(float(by_seed.var(ddof=1)) / n, n - 1, n) if n > 1 else Part(0.0, math.inf, 1)


def _components(
    scores: PairScores,
    mean: float,
    residual: NDArray[np.float64],
    seeds: Part,
    positive: NDArray[np.float64] | None,
    items: bool,
) -> Components:
    """Return the components of a mean with weighted residuals (P,), and weighted values (P,) if these are positive."""
    one = _over(scores.listener, scores.weight, residual, positive)
    if not items:
        return Components(mean, one, Part(0.0, math.inf, 1), Part(0.0, math.inf, 1), seeds, positive is not None)
    other, both = (_over(code, scores.weight, residual, positive) for code in (scores.cluster, scores.cell))
    return Components(mean, one, other, both, seeds, positive is not None)


def _over(
    code: NDArray[np.integer],
    weight: NDArray[np.float64],
    residual: NDArray[np.float64],
    positive: NDArray[np.float64] | None,
) -> Part:
    """Return the variance of a weighted mean over the groups of a code.

    The degrees of freedom are those of groups with effects of equal variance. For positive values, they are at most
    the effective number of groups from which the mean comes: groups of zeros hardly tell how much others vary.
    """
    used = np.bincount(code) > 0
    w, total = (np.bincount(code, each)[used] for each in (weight, residual))
    n, square = len(w), float(w @ w)
    left = 1 - 2 * w + square
    if n < 2 or left.min() <= 0:
        return Part(0.0, 0.0, n)
    # Let e be the residuals of independent group effects of variance 1, with covariance [g = h] + square - w_g - w_h.
    # The estimate sum(c e^2) has mean `square` and variance 2 sum(c_g c_h covariance^2), here multiplied out.
    c = w**2 / left
    c0, c1, c2 = float(c.sum()), float(c @ w), float(c @ w**2)
    spread = square**2 * c0**2 + 2 * c0 * c2 - 4 * square * c0 * c1 + 2 * c1**2
    spread += float(c**2 @ (1 + 2 * (square - 2 * w)))
    df = square**2 / spread
    if positive is not None and (squares := float(np.square(np.bincount(code, positive)).sum())):
        df = min(df, float(positive.sum()) ** 2 / squares)
    return Part(float(total**2 @ (1 / left)), df, n)
