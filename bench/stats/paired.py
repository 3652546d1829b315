"""Tests of a difference between two models on the same users, and the correction for many such tests.

`paired_test` is what reports use: at p 0.05 it tells at most 6 % of pairs of equally good models apart, with any number
of users (`benchmarks/significance.py`). SciPy has neither Holm's correction nor a permutation test of sign patterns
that is fast enough for every row of a report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_DIFFERENT = 6
"""Users with a difference that a test needs: with 5, even the smallest two-sided p, 2 / 2^5, is above 0.05."""

MANY = 300
"""Effective number of differences from which Student's t is used: below, values such as hits are too coarse for it."""

MOST = 20_000
"""Differences above which Student's t is used in any case: flipping so many signs takes seconds."""

_FIRST = 1000
"""Sign patterns after which a p above 0.2 is good enough."""

_BLOCK = 1 << 22
"""Signs drawn at a time. Part of the definition: another value draws other numbers."""


class TTest(NamedTuple):
    """A paired t test: mean difference, t (infinite for a constant difference), degrees of freedom, two-sided p."""

    mean: float
    t: float
    df: int
    p: float


class SignFlip(NamedTuple):
    """A randomisation test: mean difference, two-sided p, users, sign patterns, and whether they are all there are.

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
        """Whether so few users differ that no values of theirs could reach p 0.05."""
        return self.different < LEAST_DIFFERENT


def paired_t(a: NDArray[np.float64], b: NDArray[np.float64]) -> TTest:
    """Test whether the mean of a - b over the same users (U,) is 0, against Student's t with U - 1 degrees of freedom.

    Raises
    ------
    ValueError
        For arrays of unlike shapes, fewer than two users, or values that are not finite.

    References
    ----------
    Student, The probable error of a mean (1908).

    """
    difference = _differences(a, b)
    n, mean = len(difference), float(difference.mean())
    error = float(difference.std(ddof=1)) / math.sqrt(n)
    # A spread of rounding size is none.
    if error <= 1e-15 * abs(mean):
        return TTest(mean, math.copysign(math.inf, mean) if mean else 0.0, n - 1, 0.0 if mean else 1.0)
    # scipy.stats.ttest_rel gives the same, but takes 0.7 s to import; scipy.special takes 0.15 s.
    from scipy.special import stdtr

    t = mean / error
    return TTest(mean, t, n - 1, float(2 * stdtr(n - 1, -abs(t))))


def sign_flip(a: NDArray[np.float64], b: NDArray[np.float64], *, resamples: int = 10_000, seed: int = 0) -> SignFlip:
    """Test a - b over the same users (U,) by flipping the sign of each user's difference at random.

    Under the hypothesis that both models serve a user alike, either sign is as likely. p is the share of
    sign patterns whose mean is at least as far from 0, the observed one counted among the draws. A user without
    a difference has no sign; when the V others have no more patterns (2^V) than `resamples`, all are taken and
    p is exact. Drawing ends after 1,000 patterns if p is above 0.2 by then: more could not make it significant.

    Parameters
    ----------
    a, b
        Values of the same users (U,).
    resamples
        Number of drawn sign patterns.
    seed
        Of the signs.

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
    # The sum of eight signed differences is looked up by the byte of their signs.
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
    """Test whether models a (S, U) and b (T, U) serve the same users equally well, each trained with some seeds.

    Each user's difference of the means over seeds is tested by flipping signs (`sign_flip`), which is exact with
    any number of users, or, where many users differ by like amounts, by Student's t. Where a side has several
    seeds, a second test takes the users' and the seeds' spread together, and the larger p counts: a difference must
    be one of all trainings, not of these.

    Parameters
    ----------
    a, b
        Values by seed and user, the users in the same order; one seed says nothing of the spread over seeds.
    comparisons
        Tests that are corrected together: more signs are drawn, so that p can be small enough after correction.
    seed
        Of the signs.

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
    # Means over seeds of equal values differ by rounding.
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
    """Return the two-sided p of a mean difference (U,) whose sides' means vary from seed to seed, (S,) each."""
    from scipy.special import stdtr

    parts = [(float(values.var(ddof=1)) / len(values), len(values) - 1) for values in (difference, *seeds)]
    variance = sum(part for part, _ in parts)
    mean = abs(float(difference.mean()))
    if variance <= (1e-15 * mean) ** 2:
        return 0.0 if mean else 1.0
    degrees = 1 / sum((part / variance) ** 2 / df for part, df in parts)
    return float(2 * stdtr(degrees, -mean / math.sqrt(variance)))


def holm(p: Mapping[str, float], families: Mapping[str, str] | None = None) -> dict[str, float]:
    """Return p values adjusted within families, so that a family errs with probability alpha at most.

    Parameters
    ----------
    p
        One p value a comparison.
    families
        The family of each comparison, declared before looking; None makes all of them one family.

    Raises
    ------
    ValueError
        For a comparison without a declared family, a declared one without p (leaving it out would be
        choosing after looking), or a p outside 0..1.

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
