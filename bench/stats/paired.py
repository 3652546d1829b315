"""Tests of a difference between two models on the same users, and the correction for many such tests.

`paired_test` is what reports use: at p 0.05 it finds a difference in at most 6 % of pairs of equally good models, for
any number of users (`benchmarks/significance.py`). SciPy has neither Holm's correction nor a permutation test of sign
patterns that is fast enough for every row of a report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_DIFFERENT = 6
"""Minimum number of users with a difference: with 5, the smallest two-sided p, 2 / 2^5, is above 0.05."""

MANY = 300
"""Effective number of differences from which Student's t is used; with fewer, values such as hits are too coarse."""

MOST = 20_000
"""Number of differences above which Student's t is always used, because flipping so many signs takes seconds."""

_FIRST = 1000
"""Number of sign patterns after which the test stops if p is above 0.2."""

_BLOCK = 1 << 22
"""Number of signs drawn at a time. Changing it changes the draws and thus the results."""


class TTest(NamedTuple):
    """A paired t test: mean difference, t (infinite for a constant difference), degrees of freedom, two-sided p."""

    mean: float
    t: float
    df: int
    p: float


class SignFlip(NamedTuple):
    """A randomisation test: mean difference, two-sided p, users, sign patterns, and whether these are all.

    different : users whose difference is not 0
    """

    mean: float
    p: float
    n: int
    patterns: int
    exact: bool
    different: int


class PairedTest(NamedTuple):
    """The test of a mean difference: two-sided p, users, and how many of them have a difference that is not 0."""

    mean: float
    p: float
    n: int
    different: int

    @property
    def undecided(self) -> bool:
        """Whether too few users differ for any values to reach p 0.05."""
        return self.different < LEAST_DIFFERENT


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
    difference = _differences(a, b)
    n, mean = len(difference), float(difference.mean())
    error = float(difference.std(ddof=1)) / math.sqrt(n)
    # A standard error within rounding counts as 0.
    if error <= 1e-15 * abs(mean):
        return TTest(mean, math.copysign(math.inf, mean) if mean else 0.0, n - 1, 0.0 if mean else 1.0)
    # scipy.stats.ttest_rel gives the same, but takes 0.7 s to import; scipy.special takes 0.15 s.
    from scipy.special import stdtr

    t = mean / error
    return TTest(mean, t, n - 1, float(2 * stdtr(n - 1, -abs(t))))


def sign_flip(a: NDArray[np.float64], b: NDArray[np.float64], *, resamples: int = 10_000, seed: int = 0) -> SignFlip:
    """Test a - b over the same users (U,) by flipping the sign of each user's difference at random.

    Under the null hypothesis, both signs are equally likely. p is the share of sign patterns whose mean is at
    least as far from 0 as the observed one, which counts as one of the draws. Users without a difference have no
    sign; if the V others have at most `resamples` patterns (2^V), all are used and p is exact. Drawing stops after
    1,000 patterns if p is above 0.2, because more could not make it significant.

    Parameters
    ----------
    a, b
        Values of the same users (U,).
    resamples
        Number of drawn sign patterns.
    seed
        Random seed of the signs.

    Raises
    ------
    ValueError
        As `paired_t`.

    References
    ----------
    Fisher, The Design of Experiments (1935), chapter 3; Phipson and Smyth (2010) for the count of one.

    """
    difference = _differences(a, b)
    given = difference[difference != 0]
    n, mean, v = len(difference), float(difference.mean()), len(given)
    total = abs(float(given.sum())) * (1 - 1e-12)
    exact = v < 63 and 2**v <= resamples
    patterns = 2**v if exact else resamples
    # A byte of eight signs is the index of the sum of eight signed differences.
    eights = np.zeros(-(-v // 8) * 8)
    eights[:v] = given
    signs = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    lookup = eights.reshape(-1, 8) @ signs.T
    rows = max(1, _BLOCK // max(v, 1))
    rng = np.random.Generator(np.random.PCG64(seed))
    extreme = start = 0
    while start < patterns:
        size = min(rows, patterns - start) if start or exact else min(rows, patterns, _FIRST)
        if exact:
            drawn = ((np.arange(start, start + size) >> (8 * np.arange(len(lookup))[:, None])) & 255).astype(np.uint8)
        else:
            drawn = rng.integers(0, 256, (len(lookup), size), np.uint8)
        sums = np.zeros(size)
        for of_byte, chosen in zip(lookup, drawn, strict=True):
            sums += of_byte[chosen]
        extreme, start = extreme + int((np.abs(sums) >= total).sum()), start + size
        if not exact and start == _FIRST and extreme > _FIRST // 5:
            patterns = start
    p = extreme / patterns if exact else (extreme + 1) / (patterns + 1)
    return SignFlip(mean, p, n, patterns, exact, v)


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
    x, y = a.mean(axis=0), b.mean(axis=0)
    difference = x - y
    # Means of equal values over seeds can differ by rounding.
    difference[np.abs(difference) <= 1e-12 * np.maximum(np.abs(x), np.abs(y))] = 0.0
    different = int(np.count_nonzero(difference))
    if not np.isfinite(difference).all():
        raise ValueError("values that are not finite: leave the users concerned out, and say so")
    mean = float(difference.mean())
    if not different or len(difference) < 2:
        return PairedTest(mean, 1.0, len(difference), different)
    zero = np.zeros_like(difference)
    scaled = difference / np.abs(difference).max()
    if (scaled**2).sum() ** 2 / (scaled**4).sum() >= MANY or different > MOST:
        p = paired_t(difference, zero).p
    else:
        p = sign_flip(difference, zero, resamples=max(10_000, 200 * comparisons), seed=seed).p
    if len(a) > 1 or len(b) > 1:
        p = max(p, _seeds_and_users(difference, [table.mean(axis=1) for table in (a, b) if len(table) > 1]))
    return PairedTest(mean, p, len(difference), different)


def _seeds_and_users(difference: NDArray[np.float64], seeds: list[NDArray[np.float64]]) -> float:
    """Return the two-sided p of the mean of `difference` (U,), with the means (S,) of each model by seed."""
    from scipy.special import stdtr

    parts = [(float(values.var(ddof=1)) / len(values), len(values) - 1) for values in (difference, *seeds)]
    variance = sum(part for part, _ in parts)
    mean = abs(float(difference.mean()))
    if variance <= (1e-15 * mean) ** 2:
        return 0.0 if mean else 1.0
    degrees = 1 / sum((part / variance) ** 2 / df for part, df in parts)
    return float(2 * stdtr(degrees, -mean / math.sqrt(variance)))


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


def _differences(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    if np.shape(a) != np.shape(b) or np.ndim(a) != 1:
        raise ValueError(f"a and b must hold the same users, got shapes {np.shape(a)} and {np.shape(b)}")
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    if len(difference) < 2:
        raise ValueError(f"a test needs at least two users, got {len(difference)}")
    if not np.isfinite(difference).all():
        raise ValueError(f"{int((~np.isfinite(difference)).sum())} users' values are not finite: leave them out")
    return difference
