"""Tests of a difference between two models on the same users, and the correction for many such tests.

`sign_flip` is not `scipy.stats.permutation_test`, whose draws differ: recorded p values would change. SciPy has no
Holm correction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 22
"""Signs drawn at a time. Part of the definition: another value draws other numbers."""


class TTest(NamedTuple):
    """A paired t test: mean difference, t (infinite for a constant difference), degrees of freedom, two-sided p."""

    mean: float
    t: float
    df: int
    p: float


class SignFlip(NamedTuple):
    """A randomisation test: mean difference, two-sided p, users, sign patterns, and whether they are all there are."""

    mean: float
    p: float
    n: int
    patterns: int
    exact: bool


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
    sign patterns whose mean is at least as far from 0, the observed one counted among the draws; when
    there are no more patterns (2^U) than `resamples`, all are taken and p is exact.

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
    n, mean = len(difference), float(difference.mean())
    total = abs(float(difference.sum())) * (1 - 1e-12)
    exact = 2**n <= resamples
    rows = max(1, _BLOCK // n)
    rng = np.random.Generator(np.random.PCG64(seed))
    patterns = 2**n if exact else resamples
    extreme = 0
    for start in range(0, patterns, rows):
        size = min(rows, patterns - start)
        if exact:
            minus = ((np.arange(start, start + size)[:, None] >> np.arange(n)) & 1).astype(np.uint8)
        else:
            drawn = rng.integers(0, 256, (size, -(-n // 8)), np.uint8)
            minus = np.unpackbits(drawn, axis=1, count=n)
        sums = difference.sum() - 2 * (minus.astype(np.float64) @ difference)
        extreme += int((np.abs(sums) >= total).sum())
    p = extreme / patterns if exact else (extreme + 1) / (patterns + 1)
    return SignFlip(mean, p, n, patterns, exact)


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


def paired(difference: float, drawn: NDArray[np.float64]) -> float:
    """Return the two-sided p of a mean difference, its error being the spread of its resampled means (resamples,).

    Paired, for the same users (and, with several seeds, seeds) were drawn for both sides; normal, as the
    t test is with so many users, so that p goes on below 1 / resamples, where Holm's correction needs it.
    """
    error = float(drawn.std(ddof=1))
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return math.erfc(abs(difference) / error / math.sqrt(2))
