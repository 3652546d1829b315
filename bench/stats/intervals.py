"""Intervals of means where the bootstrap is not reliable: few users, and shares near 0 or 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.stats.bootstrap import Interval, bootstrap

LEAST_USERS = 10
"""Minimum number of users for an interval or test; below it, percentile intervals are far too narrow."""

EDGE = 5
"""Minimum number of users with a hit, and without one; below it, the bootstrap interval of a share is too narrow."""


def wilson(share: float, n: int, *, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share of `n` users; unlike the bootstrap interval, it has a width at 0 and 1.

    References
    ----------
    Wilson, Probable inference, the law of succession, and statistical inference (1927).

    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    scale = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(max(0.0, middle - half) if share else 0.0, min(1.0, middle + half) if share < 1 else 1.0)


def at_the_edge(share: float, n: int) -> bool:
    """Return whether a share of `n` users is so near 0 or 1 that it needs `wilson`."""
    return min(share, 1 - share) * n < EDGE - 1e-9


def mean_intervals(values: Mapping[str, NDArray[np.float64]], *, seed: int = 0) -> dict[str, Interval]:
    """Return the 95 % intervals of the means of some metrics over the same users (U,).

    They come from `bootstrap`, with one exception: a mean near 0 or 1 of values that are all 0 or 1 has Wilson's
    interval, and so has a metric such as NDCG if all its values are 0. There is no interval with fewer than
    `LEAST_USERS` users, or if all users have the same value between 0 and 1.

    Parameters
    ----------
    values
        Values by metric, all in the same order of users.
    seed
        Random seed of the resampling.

    """
    n = min((len(column) for column in values.values()), default=0)
    if n < LEAST_USERS:
        return {}
    found = {}
    for metric, span in bootstrap(values, seed=seed).items():
        share = float(values[metric].mean())
        if np.isin(values[metric], (0.0, 1.0)).all() and at_the_edge(share, n):
            found[metric] = wilson(share, n)
        elif np.ptp(values[metric]):
            found[metric] = span
    return found
