"""Means and differences over listeners x items x seeds.

The value of a held-out pair depends on its listener and on its item, and pairs share both. An interval over listeners
alone takes the items as given; on cold items it is far too narrow (`benchmarks/coverage.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bench.stats.components import Components, Part
from bench.stats.pair_scores import Groups, PairScores
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
    by_seed, values = scores.by_seed, scores.mean
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
        one, other = getattr(a, name), getattr(b, name)
        if one is not other and not np.array_equal(one, other):
            raise ValueError(f"the two models must have the same pairs: they differ in {name}")
    x, y = a.mean, b.mean
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
    pairs: Iterable[tuple[PairScores, PairScores]], *, comparisons: int = 1, seed: int = 0
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
    means, found = [], []
    for a, b in pairs:  # which may be made one after the other: those of a whole report do not fit into memory
        means.append((_by_listener(a), _by_listener(b)))
        found.append(difference(a, b))
    tests = paired_tests(means, comparisons=comparisons, seed=seed)
    return [(test._replace(p=max(test.p, each.p)), each) for test, each in zip(tests, found, strict=True)]


def _by_listener(scores: PairScores) -> Scores:
    seeds = _seeds(scores.by_seed)
    return Scores(scores.by_listener, seeds.variance, seeds.n - 1)


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
    one = _over(scores.groups["listener"], residual, positive)
    if not items:
        return Components(mean, one, Part(0.0, math.inf, 1), Part(0.0, math.inf, 1), seeds, positive is not None)
    other, both = (_over(scores.groups[name], residual, positive) for name in ("cluster", "cell"))
    return Components(mean, one, other, both, seeds, positive is not None)


def _over(groups: Groups, residual: NDArray[np.float64], positive: NDArray[np.float64] | None) -> Part:
    """Return the variance of a weighted mean over groups.

    The degrees of freedom are those of groups with effects of equal variance. For positive values, they are at most
    the effective number of groups from which the mean comes: groups of zeros hardly tell how much others vary.
    """
    df = groups.df
    if not df:
        return Part(0.0, 0.0, groups.n)
    total = np.bincount(groups.code, residual)
    if positive is not None and (squares := float(np.square(np.bincount(groups.code, positive)).sum())):
        df = min(df, float(positive.sum()) ** 2 / squares)
    return Part(float(total**2 @ (1 / groups.left)), df, groups.n)
