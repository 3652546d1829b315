"""The two-level bootstrap: seeds and users drawn anew together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 20
"""Drawn users at a time, as in `bench.stats`, so that the same users are drawn."""


def resample(
    tables: Sequence[NDArray[np.float64]], keys: Sequence[int], *, resamples: int = 2000, seed: int = 0
) -> list[NDArray[np.float64]]:
    """Return the means (resamples, M) of each table (S, U, M) when its seeds and users are drawn anew.

    The same users are drawn for all seeds of all tables, for they are the same people: means of two
    tables can be subtracted, which pairs them by user. Each table draws its seeds by itself. With one
    seed each, the interval of a difference is that of `bench.stats.compare`, draw by draw.

    Parameters
    ----------
    tables
        Values by seed, user and metric, each for the same users in the same order.
    keys
        One number per table: makes its draw of seeds independent of the other tables.
    resamples, seed
        Number of bootstrap samples, and the seed of the resampling alone.

    References
    ----------
    Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.

    """
    users = tables[0].shape[1]
    if any(table.shape[1] != users for table in tables) or not users:
        raise ValueError(f"expected the same users, got shapes {[table.shape for table in tables]}")
    flat = np.concatenate([table.transpose(1, 0, 2).reshape(users, -1) for table in tables], axis=1)
    means = np.empty((resamples, flat.shape[1]))
    rows = max(1, _BLOCK // users)
    rng = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, resamples, rows):
        n = min(rows, resamples - start)
        drawn = rng.integers(0, users, (n, users))
        drawn += np.arange(n)[:, None] * users
        counts = np.bincount(drawn.ravel(), minlength=n * users).reshape(n, users)
        means[start : start + n] = counts.astype(np.float64) @ flat / users

    out, at = [], 0
    for table, key in zip(tables, keys, strict=True):
        n_seeds, _, n_metrics = table.shape
        by_seed = means[:, at : at + n_seeds * n_metrics].reshape(resamples, n_seeds, n_metrics)
        at += n_seeds * n_metrics
        again = np.random.Generator(np.random.PCG64([seed, key])).integers(0, n_seeds, (resamples, n_seeds))
        out.append(np.take_along_axis(by_seed, again[:, :, None], axis=1).mean(axis=1))
    return out


def interval(means: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled means (resamples,)."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
