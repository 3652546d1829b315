"""Rank correlation of few points, such as two columns of a leaderboard.

With so few points, the p value comes from permutations (all of them up to 9 points) and the interval from
resampling points or users.

Written in NumPy because reports need it: `scipy.stats` takes 0.7 s to import, and its permutation test draws other
permutations, which would change p values above 9 points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.stats.bootstrap import interval

Coefficient = Literal["spearman", "kendall"]
EXACT = 9
"""Maximum number of points for which all permutations are used (9! = 362,880)."""
_BLOCK = 1 << 21
"""Maximum entries of a (permutations, n, n) array."""


@dataclass(frozen=True)
class RankCorrelation:
    """A coefficient over `n` points with its two-sided permutation p value and a bootstrap interval.

    p : share of permutations with a coefficient at least as far from 0
    exact : whether all n! permutations were used
    low, high : bootstrap interval over points or users; None when too few draws are defined
    undefined : share of the bootstrap draws that were excluded because a column was constant
    over : what was resampled for the interval
    """

    coefficient: Coefficient
    n: int
    value: float
    p: float
    exact: bool
    low: float | None
    high: float | None
    undefined: float
    over: Literal["points", "users"] = "points"


def rank_correlations(
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
    coefficient: Coefficient = "spearman",
    *,
    draws: Sequence[NDArray[np.float64] | None] = (),
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> list[list[RankCorrelation]]:
    """Compute the rank correlation of each column of xs (P, n) with each of ys (Q, n).

    Parameters
    ----------
    xs, ys
        Finite columns of at least two points, none of them constant; one value per point, in the same order.
    coefficient
        ``spearman`` (rho with midranks) or ``kendall`` (tau-b); ties are allowed in both.
    draws
        For each column of xs, its bootstrap samples (R, n) over users (`resampled_means`): the interval then shows
        the uncertainty due to the users. With None instead, points are resampled, which shows the uncertainty due to
        few points. Without any draws, there are no intervals.
    resamples
        Number of permutations above 9 points, and of bootstrap samples of points.
    seed
        Random seed of the draws.
    level
        Confidence level of the interval.

    References
    ----------
    Kendall and Gibbons, Rank Correlation Methods (5th edition, 1990); Phipson and Smyth (2010) for drawn
    permutations.

    """
    n, exact = xs.shape[1], xs.shape[1] <= EXACT
    a, b = _compared(xs, coefficient), _compared(ys, coefficient)
    scale = np.sqrt((a * a).sum(axis=1)[:, None] * (b * b).sum(axis=1))
    values = np.clip(a @ b.T / scale, -1, 1)
    rng = np.random.Generator(np.random.PCG64([seed, n]))
    extreme, total = np.zeros(values.shape, np.int64), 0
    for order in _orders(n, resamples, rng):
        total += len(order)
        for at, moved in enumerate(_reordered(ys, order, coefficient)):
            reached = np.abs(moved @ a.T / scale[:, at]) >= np.abs(values[:, at]) - 1e-9
            extreme[:, at] += reached.sum(axis=0)
    p = extreme / total if exact else (extreme + 1) / (total + 1)
    points = rng.integers(0, n, (resamples, n)) if any(drawn is None for drawn in draws) else None
    found = []
    for i, x in enumerate(xs):
        row = []
        drawn = draws[i] if draws else None
        ranks = None if drawn is None or coefficient == "kendall" else _compared(drawn, coefficient)
        for j, y in enumerate(ys):
            low, high, lost = None, None, 0.0
            if draws:
                if drawn is None:
                    again = correlations(x[points], y[points], coefficient)
                else:
                    again = correlations(drawn, y, coefficient) if ranks is None else _coefficients(ranks, b[j])
                defined = again[np.isfinite(again)]
                low, high = interval(defined, level) if len(defined) >= len(again) / 2 else (None, None)
                lost = 1 - len(defined) / len(again)
            over: Literal["points", "users"] = "points" if drawn is None else "users"
            value = float(values[i, j]), float(p[i, j])
            row.append(RankCorrelation(coefficient, n, *value, exact, low, high, lost, over))
        found.append(row)
    return found


def correlations(x: NDArray[np.float64], y: NDArray[np.float64], coefficient: Coefficient) -> NDArray[np.float64]:
    """Return the coefficient (R,) for each row of resampled columns, NaN where a column is constant.

    If `x` (R, n) has bootstrap means of n models over users (`resampled_means`), and `y` (n,) or (R, n) other
    scores of the models, the spread of the result shows the uncertainty due to the users.
    """
    x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    rows = max(1, _BLOCK // x.shape[1] ** 2)
    return np.concatenate(
        [
            _coefficients(*(_compared(each[i : i + rows], coefficient) for each in (x, y)))
            for i in range(0, len(x), rows)
        ]
    )


def smallest_p(n: int) -> float:
    """Return the smallest possible two-sided p of n points without ties, 2 / n!."""
    return min(1.0, 2 / math.factorial(n)) if n < 20 else 0.0


@cache
def least_significant(n: int, coefficient: Coefficient, alpha: float = 0.05) -> float | None:
    """Return the smallest coefficient of n points without ties whose two-sided p is at most `alpha`, or None.

    It comes from all permutations up to 9 points, and from the normal approximation above.
    """
    if n > EXACT:
        # Variance of the coefficient if all orders are equally likely.
        deviation = math.sqrt(1 / (n - 1) if coefficient == "spearman" else 2 * (2 * n + 5) / (9 * n * (n - 1)))
        return min(1.0, NormalDist().inv_cdf(1 - alpha / 2) * deviation)
    if n < 2:
        return None
    x = np.arange(n, dtype=np.float64)
    rng = np.random.Generator(np.random.PCG64(0))
    a = _compared(x[None], coefficient)[0]
    drawn = [next(_reordered(x[None], order, coefficient)) @ a / (a @ a) for order in _orders(n, 0, rng)]
    values, counts = np.unique(np.abs(np.concatenate(drawn)).round(9), return_counts=True)
    tail = counts[::-1].cumsum()[::-1] / counts.sum()
    return float(values[tail <= alpha][0]) if (tail <= alpha).any() else None


def _orders(n: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield permutations (B, n) in blocks: all of them up to 9 points, else `resamples` drawn ones."""
    rows = max(1, _BLOCK // n**2)
    if n <= EXACT:
        every = _permutations(n)
        for start in range(0, len(every), rows):
            yield every[start : start + rows].astype(np.int64)
        return
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        yield rng.permuted(np.broadcast_to(np.arange(n), (size, n)), axis=1)


@cache
def _permutations(n: int) -> NDArray[np.int8]:
    return np.array(list(permutations(range(n))), np.int8)


def _compared(x: NDArray[np.float64], coefficient: Coefficient) -> NDArray[np.float64]:
    """Return what a coefficient of the rows of x (B, n) is made of, whole numbers.

    For Spearman's, how many points are smaller less how many are larger (B, n): midranks up to a constant and a
    factor. For Kendall's, the signs of the differences of all pairs (B, n (n - 1) / 2).
    """
    n = x.shape[1]
    if coefficient == "kendall":
        first, second = np.triu_indices(n, 1)
        return np.sign(x[:, first] - x[:, second])
    order = x.argsort(axis=1)
    ordered = np.take_along_axis(x, order, axis=1)
    places = np.broadcast_to(np.arange(n), x.shape)
    begins = np.concatenate([np.ones((len(x), 1), np.bool_), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    smaller = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    ends = np.concatenate([begins[:, 1:], begins[:, :1]], axis=1)
    last = np.minimum.accumulate(np.where(ends, places, n - 1)[:, ::-1], axis=1)[:, ::-1]
    compared = np.empty(x.shape)
    np.put_along_axis(compared, order, (smaller + last - (n - 1)).astype(np.float64), axis=1)
    return compared


def _coefficients(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the coefficient of each row from what `_compared` returns, NaN where a column is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=-1))
    return np.asarray(np.clip(value, -1, 1), np.float64)


def _reordered(
    ys: NDArray[np.float64], order: NDArray[np.int64], coefficient: Coefficient
) -> Iterator[NDArray[np.float64]]:
    """Yield `_compared` of y[order] (B, n) for each y of ys (Q, n) without comparing all points again."""
    if coefficient == "spearman":
        for compared in _compared(ys, coefficient):
            yield compared[order]
        return
    first, second = np.triu_indices(ys.shape[1], 1)
    pairs = order[:, first] * ys.shape[1] + order[:, second]
    for y in ys:
        yield np.sign(y[:, None] - y).ravel().take(pairs)
