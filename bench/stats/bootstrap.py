"""Uncertainty over users: bootstrap intervals of means.

`scipy.stats.bootstrap` draws other resamples, which would change recorded intervals, and cannot resample both seeds
and users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
"""Number of bootstrap samples unless another is given."""

_BLOCK = 1 << 20
"""Number of users drawn at a time. Changing it changes the resamples and thus the results."""


class Interval(NamedTuple):
    """The bounds of an interval."""

    low: float
    high: float


@overload
def bootstrap(
    values: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> Interval: ...
@overload
def bootstrap(
    values: Mapping[str, NDArray[np.float64]], *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]: ...
def bootstrap(
    values: NDArray[np.float64] | Mapping[str, NDArray[np.float64]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Interval | dict[str, Interval]:
    """Return the percentile bootstrap interval of the mean over users.

    Several metrics of the same users are resampled together: each resample draws users once, and all
    means are one matrix product (resamples, U) @ (U, metrics), in blocks. The same seed, number of users
    and resamples draw the same users for any set of metrics.

    Parameters
    ----------
    values
        One value per user (U,), or several such arrays by name, all in the same order of users.
    resamples
        Number of bootstrap samples.
    seed
        Random seed of the resampling.
    level
        Confidence level, the share of the resampled means inside the interval.

    Returns
    -------
    Interval or dict of Interval
        Bounds (low, high), in the same structure as `values`.

    Raises
    ------
    ValueError
        For no users, arrays of different length, or values that are not finite.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13 (percentile interval).

    """
    if not isinstance(values, Mapping):
        return bootstrap({"": values}, resamples=resamples, seed=seed, level=level)[""]
    if not values:
        return {}
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level must lie between 0 and 1 and resamples be positive, not {level} and {resamples}")
    lengths = {name: np.shape(array) for name, array in values.items()}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 or not shape[0] for shape in lengths.values()):
        raise ValueError(f"expected one value per user for the same users, got shapes {lengths}")
    table = np.stack([np.asarray(array, np.float64) for array in values.values()], axis=1)
    if names := [name for name, column in zip(values, table.T, strict=True) if not np.isfinite(column).all()]:
        raise ValueError(f"values that are not finite in {names}: leave the users concerned out, and say so")

    means = resampled_means(table, resamples=resamples, seed=seed)
    low, high = percentiles(means, level)
    return {name: Interval(float(a), float(b)) for name, a, b in zip(values, low, high, strict=True)}


def resampled_means(table: NDArray[np.float64], *, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return the bootstrap column means (resamples, M) of `table` (U, M), computed in blocks.

    The draw depends only on U, `resamples` and `seed`, so the same users are drawn for every table.
    """
    users = len(table)
    rows = max(1, _BLOCK // users)
    rng = np.random.Generator(np.random.PCG64(seed))
    means = np.empty((resamples, table.shape[1]))
    for start in range(0, resamples, rows):
        n = min(rows, resamples - start)
        drawn = rng.integers(0, users, (n, users))
        drawn += np.arange(n)[:, None] * users
        counts = np.bincount(drawn.ravel(), minlength=n * users).reshape(n, users)
        means[start : start + n] = counts.astype(np.float64) @ table / users
    return means


def percentiles(means: NDArray[np.float64], level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds, (M,) each, of the central share `level` of resampled means (resamples, M)."""
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def interval(means: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Return the percentile interval of one metric's resampled means (resamples,)."""
    low, high = percentiles(means[:, None], level)
    return Interval(float(low[0]), float(high[0]))


def two_level(
    tables: Sequence[NDArray[np.float64]], keys: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[NDArray[np.float64]]:
    """Return the means (resamples, M) of each table (S, U, M) when its seeds and users are resampled.

    All seeds of all tables share the draws of users, so that the means of two tables can be subtracted as
    pairs. Each table draws its seeds independently. With one seed each, the interval of a difference is
    that of `bootstrap` of the users' differences.

    Parameters
    ----------
    tables
        Values by seed, user and metric, with the same users in the same order.
    keys
        One number per table, which makes its draw of seeds independent of the other tables.
    resamples, seed
        Number of bootstrap samples, and random seed of the resampling.

    References
    ----------
    Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.

    """
    users = tables[0].shape[1]
    if any(table.shape[1] != users for table in tables) or not users:
        raise ValueError(f"expected the same users, got shapes {[table.shape for table in tables]}")
    flat = np.concatenate([table.transpose(1, 0, 2).reshape(users, -1) for table in tables], axis=1)
    means = resampled_means(flat, resamples=resamples, seed=seed)
    out, at = [], 0
    for table, key in zip(tables, keys, strict=True):
        n_seeds, _, n_metrics = table.shape
        by_seed = means[:, at : at + n_seeds * n_metrics].reshape(resamples, n_seeds, n_metrics)
        at += n_seeds * n_metrics
        again = np.random.Generator(np.random.PCG64([seed, key])).integers(0, n_seeds, (resamples, n_seeds))
        drawn = by_seed.reshape(-1, n_metrics).take(again + np.arange(resamples)[:, None] * n_seeds, axis=0)
        out.append(drawn.mean(axis=1))
    return out
