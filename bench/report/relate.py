"""How two columns of few values order the same models: rank correlation, exactly and with its doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from math import factorial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

EXACT = 8
"""Models up to which every permutation is counted (8! = 40,320)."""

_DRAWN = 40_000
"""Permutations drawn where there are too many to count."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Relation:
    """Rank correlations of two columns over the `n` models that have both."""

    n: int
    spearman: float
    spearman_p: float
    kendall: float
    kendall_p: float
    low: float | None
    high: float | None
    """95 % interval of Spearman's."""
    over: Literal["users", "models", ""]
    """What was drawn anew for the interval."""


def relate(
    x: Floats, y: Floats, draws: Floats | None = None, *, resamples: int = 2000, seed: int = 0
) -> Relation | None:
    """Correlate the ranks of `x` and `y` (n,); None for fewer than three models, or a column of one value.

    Parameters
    ----------
    x, y
        A value per model.
    draws
        Of `x` when the users are drawn anew (resamples, n): the interval then says how far the listeners
        decide the correlation. Without them the models are drawn anew, which says how far these models do.
    resamples, seed
        Of the draw of models, and of permutations where there are too many to count.

    Notes
    -----
    p is the share of permutations of y that give at least as large a correlation, two-sided, ties as they
    are: exact up to `EXACT` models. Kendall's is tau-b.

    """
    n = len(x)
    if n < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    rho, tau = float(spearman(x[None], y[None])[0]), float(kendall(x[None], y[None])[0])
    mixed = y[_permutations(n) if n <= EXACT else _drawn(n, seed)]
    if draws is not None:
        again, over = spearman(draws, np.broadcast_to(y, draws.shape)), "users"
    else:
        chosen = np.random.Generator(np.random.PCG64(seed)).integers(0, n, (resamples, n))
        again, over = spearman(x[chosen], y[chosen]), "models"
    again = again[np.isfinite(again)]  # a draw of one model n times has no order
    low, high = np.quantile(again, [0.025, 0.975]) if len(again) else (None, None)
    return Relation(
        n=n,
        spearman=rho,
        spearman_p=_p(spearman, x, mixed, rho),
        kendall=tau,
        kendall_p=_p(kendall, x, mixed, tau),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        over=over if len(again) else "",  # type: ignore[arg-type]
    )


def spearman(x: Floats, y: Floats) -> Floats:
    """Return Spearman's rho (B,) of each row of `x` and `y` (B, n), ties at their middle rank; NaN without order."""
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: Floats = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return rho


def kendall(x: Floats, y: Floats) -> Floats:
    """Return Kendall's tau-b (B,) of each row of `x` and `y` (B, n); NaN without order."""
    i, j = np.triu_indices(x.shape[1], 1)
    a, b = np.sign(x[:, i] - x[:, j]), np.sign(y[:, i] - y[:, j])
    with np.errstate(invalid="ignore", divide="ignore"):
        tau: Floats = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return tau


@cache
def least(n: int, level: float = 0.05) -> float | None:
    """Return the smallest |rho| of n untied models whose p is at most `level`; None where even 1 does not reach it.

    Exact up to `EXACT` models, None beyond: there it no longer needs saying.
    """
    if n > EXACT or 2 / factorial(n) > level:
        return None
    order = np.arange(n, dtype=np.float64)
    mixed = order[_permutations(n)]
    found = np.sort(np.abs(spearman(np.broadcast_to(order, mixed.shape), mixed)).round(12))[::-1]
    values, first = np.unique(-found, return_index=True)
    upto = np.append(first[1:], len(found)) / len(found)
    reached = -values[upto <= level]
    return float(reached.min()) if len(reached) else None


def holm(p: Floats) -> Floats:
    """Return Holm's adjusted p (m,): the largest of the ordered (m - i) p up to each, at most 1.

    References
    ----------
    Holm, Scandinavian Journal of Statistics 6 (1979).

    """
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty_like(p)
    out[order] = np.minimum(steps, 1.0)
    return out


def _p(statistic: Callable[[Floats, Floats], Floats], x: Floats, mixed: Floats, found: float) -> float:
    others = np.abs(statistic(np.broadcast_to(x, mixed.shape), mixed))
    reached = int((others >= abs(found) - 1e-12).sum())
    exact = len(x) <= EXACT
    return reached / len(mixed) if exact else (reached + 1) / (len(mixed) + 1)


def _ranks(x: Floats) -> Floats:
    above = (x[:, :, None] > x[:, None, :]).sum(axis=2)
    level = (x[:, :, None] == x[:, None, :]).sum(axis=2)
    ranks: Floats = above + (level + 1) / 2
    return ranks


@cache
def _permutations(n: int) -> NDArray[np.int64]:
    return np.array(list(permutations(range(n))), np.int64)


def _drawn(n: int, seed: int) -> NDArray[np.int64]:
    rng = np.random.Generator(np.random.PCG64([seed, n]))
    return rng.permuted(np.broadcast_to(np.arange(n), (_DRAWN, n)), axis=1)
