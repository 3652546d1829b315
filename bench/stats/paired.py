"""Tests of a difference between two models on the same users, and the correction for many such tests.

`paired_test` is what reports use: at p 0.05 it finds a difference in at most 6 % of pairs of equally good models, for
any number of users (`benchmarks/significance.py`). SciPy has neither Holm's correction nor a permutation test of sign
patterns that is fast enough for every row of a report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.stats.sign_flip import differences, sign_flips

MANY = 300
"""Effective number of differences from which Student's t is used; with fewer, values such as hits are too coarse."""

MOST = 20_000
"""Number of differences above which Student's t is always used, because flipping so many signs takes seconds."""

_BYTES = 16 << 20
"""Maximum bytes of the values of several pairs that are tested together."""


class TTest(NamedTuple):
    """A paired t test: mean difference, t (infinite for a constant difference), degrees of freedom, two-sided p."""

    mean: float
    t: float
    df: int
    p: float


class PairedTest(NamedTuple):
    """The test of a mean difference: two-sided p, users, and how many of them have a difference that is not 0."""

    mean: float
    p: float
    n: int
    different: int


def least_different(comparisons: int = 1, alpha: float = 0.05) -> int:
    """Return the minimum number of users with a difference that lets a test reach alpha: 6 for a single test.

    With V of them, the smallest two-sided p of flipped signs is 2 / 2^V; Holm's procedure multiplies the smallest p
    of a family by the number of its `comparisons`.
    """
    return math.ceil(math.log2(2 * max(comparisons, 1) / alpha))


def undecided(different: int, comparisons: int = 1, alpha: float = 0.05) -> bool:
    """Return whether too few users have a difference for any values to be significant in a family of tests."""
    return different < least_different(comparisons, alpha)


def paired_t(a: NDArray[np.float64], b: NDArray[np.float64]) -> TTest:
    """Test whether the mean of a - b over the same users (U,) is 0, against Student's t with U - 1 degrees of freedom.

    Raises
    ------
    ValueError
        For arrays of different shapes, fewer than two users, or values that are not finite.

    References
    ----------
    Student, The probable error of a mean (1908).

    """
    difference = differences(a, b)
    n, mean = len(difference), float(difference.mean())
    error = float(difference.std(ddof=1)) / math.sqrt(n)
    # A standard error within rounding counts as 0.
    if error <= 1e-15 * abs(mean):
        return TTest(mean, math.copysign(math.inf, mean) if mean else 0.0, n - 1, 0.0 if mean else 1.0)
    # scipy.stats.ttest_rel gives the same, but takes 0.7 s to import; scipy.special takes 0.15 s.
    from scipy.special import stdtr

    t = mean / error
    return TTest(mean, t, n - 1, float(2 * stdtr(n - 1, -abs(t))))


def paired_test(a: NDArray[np.float64], b: NDArray[np.float64], *, comparisons: int = 1, seed: int = 0) -> PairedTest:
    """Test whether models a (S, U) and b (T, U), trained with S and T seeds, score the same users equally well.

    The users' differences of means over seeds are tested by flipping signs (`sign_flip`), which is exact for any
    number of users, or by Student's t if many users differ by similar amounts. If a model has several seeds, a
    second test combines the variance over users and over seeds, and the larger p counts: the difference should
    hold for any training seeds, not only for these.

    Parameters
    ----------
    a, b
        Values by seed and user, in the same order of users; one seed gives no variance over seeds.
    comparisons
        Number of tests corrected together; with more tests, more signs are drawn to allow smaller p.
    seed
        Random seed of the signs.

    Raises
    ------
    ValueError
        For tables of different users, no user, or values that are not finite.

    References
    ----------
    Welch, The generalization of 'Student's' problem when several different population variances are involved
    (1947), for the degrees of freedom with seeds.

    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not a.size or not b.size:
        raise ValueError(f"expected values by seed and user of the same users, got shapes {a.shape} and {b.shape}")
    return paired_tests([(Scores.of(a), Scores.of(b))], comparisons=comparisons, seed=seed)[0]


class Scores(NamedTuple):
    """What `paired_tests` needs of a model's values by seed and user.

    users : means (U,) over the S seeds
    variance : of the mean over seeds, from the S means over users; 0 with one seed
    df : degrees of freedom of the variance, S - 1
    """

    users: NDArray[np.float64]
    variance: float
    df: int

    @classmethod
    def of(cls, table: NDArray[np.float64]) -> Scores:
        """Return those of values (S, U)."""
        n = len(table)
        return cls(table.mean(axis=0), float(table.mean(axis=1).var(ddof=1)) / n if n > 1 else 0.0, n - 1)


def paired_tests(pairs: Sequence[tuple[Scores, Scores]], *, comparisons: int = 1, seed: int = 0) -> list[PairedTest]:
    """Return the results of `paired_test` for several pairs of models over the same U users, in less time."""
    rows = max(1, _BYTES // (8 * len(pairs[0][0].users))) if pairs else 1
    resamples = max(10_000, 200 * comparisons)
    parts = (pairs[start : start + rows] for start in range(0, len(pairs), rows))
    return [test for part in parts for test in _tested(part, resamples, seed)]


def _tested(pairs: Sequence[tuple[Scores, Scores]], resamples: int, seed: int) -> list[PairedTest]:
    x, y = (np.stack([pair[side].users for pair in pairs]) for side in (0, 1))
    difference = x - y
    # Means of equal values over seeds can differ by rounding.
    difference[np.abs(difference) <= 1e-12 * np.maximum(np.abs(x), np.abs(y))] = 0.0
    if not np.isfinite(difference).all():
        raise ValueError("values that are not finite: leave the users concerned out, and say so")
    n, mean, different = x.shape[1], difference.mean(axis=1), np.count_nonzero(difference, axis=1)
    p = np.ones(len(pairs))
    if n > 1 and len(at := np.flatnonzero(different)):
        p[at] = _p_values(difference[at], different[at], [pairs[i] for i in at.tolist()], resamples, seed)
    return [PairedTest(float(m), float(q), n, int(d)) for m, q, d in zip(mean, p, different, strict=True)]


def _p_values(
    difference: NDArray[np.float64],
    different: NDArray[np.int64],
    pairs: Sequence[tuple[Scores, Scores]],
    resamples: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return the p values (P,) of differences (P, U), of which so many are not 0."""
    n, mean, variance = difference.shape[1], difference.mean(axis=1), difference.var(axis=1, ddof=1)
    scaled = difference / np.abs(difference).max(axis=1, keepdims=True)
    many = ((scaled**2).sum(axis=1) ** 2 / (scaled**4).sum(axis=1) >= MANY) | (different > MOST)
    p = np.empty(len(pairs))
    p[many] = _student(mean[many], np.sqrt(variance[many]) / math.sqrt(n), np.full(many.sum(), n - 1.0))
    p[~many] = [
        one for one, _ in sign_flips([row[row != 0] for row in difference[~many]], resamples=resamples, seed=seed)
    ]
    seeds = np.array([[(one.variance, one.df) for one in pair] for pair in pairs])
    if (several := seeds[:, :, 1].any(axis=1)).any():
        parts = np.concatenate([np.stack([variance / n, np.full(len(pairs), n - 1.0)], axis=1)[:, None], seeds], axis=1)
        p[several] = np.maximum(p[several], _seeds_and_users(mean[several], parts[several]))
    return p


def _seeds_and_users(mean: NDArray[np.float64], parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the p values (P,) of means with three variances each: over users, and over the seeds of both models.

    `parts` (P, 3, 2) are the variances and their degrees of freedom; a variance without any is 0.
    """
    variances, df = parts[:, :, 0], np.maximum(parts[:, :, 1], 1)
    variance = variances.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        degrees = 1 / ((variances / variance[:, None]) ** 2 / df).sum(axis=1)
    return _student(mean, np.sqrt(variance), degrees)


def _student(mean: NDArray[np.float64], error: NDArray[np.float64], df: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two-sided p values (P,) of Student's t; a standard error within rounding counts as 0."""
    # scipy.stats takes 0.7 s to import; scipy.special takes 0.15 s.
    from scipy.special import stdtr

    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * stdtr(df, -np.abs(mean / error))
    return np.where(error <= 1e-15 * np.abs(mean), np.where(mean != 0, 0.0, 1.0), p)


def holm(p: Mapping[str, float], families: Mapping[str, str] | None = None) -> dict[str, float]:
    """Return p values adjusted so that each family has a false positive with probability at most alpha.

    Parameters
    ----------
    p
        One p value per comparison.
    families
        The family of each comparison, declared in advance; None makes all of them one family.

    Raises
    ------
    ValueError
        For a comparison without a declared family, a declared one without p (which would be selection after
        seeing results), or a p outside 0..1.

    References
    ----------
    Holm, A simple sequentially rejective multiple test procedure (1979).

    """
    declared = dict.fromkeys(p, "") if families is None else families
    if unlike := sorted(set(declared) ^ set(p)):
        raise ValueError(f"declared comparisons and p values differ in {', '.join(unlike)}")
    if wrong := [name for name, value in p.items() if not 0 <= value <= 1]:
        raise ValueError(f"{wrong[0]}: p = {p[wrong[0]]} does not lie in 0..1")
    adjusted: dict[str, float] = {}
    for family in dict.fromkeys(declared.values()):
        names = sorted((name for name in p if declared[name] == family), key=lambda name: p[name])
        values = np.array([p[name] for name in names]) * np.arange(len(names), 0, -1)
        held = np.minimum(np.maximum.accumulate(values), 1.0)
        adjusted |= dict(zip(names, held.tolist(), strict=True))
    return {name: adjusted[name] for name in p}
