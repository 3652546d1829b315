"""A randomisation test of the mean of paired differences: their signs are flipped at random.

SciPy's permutation test of sign patterns is too slow for every row of a report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_FIRST = 1000
"""Number of sign patterns after which the test stops if p is above 0.2."""

_BLOCK = 1 << 22
"""Number of signs drawn at a time. Changing it changes the draws and thus the results."""

_PART = 1 << 12
"""Number of sign patterns summed at a time, few enough for the processor's cache."""

_TOGETHER, _BYTES = 32, 16 << 20
"""Maximum number of tests that are summed together, and bytes of their lookup tables."""

_SIGNS = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
"""The eight signs (256, 8) that a byte stands for."""


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
    difference = differences(a, b)
    given = difference[difference != 0]
    ((p, patterns),) = sign_flips([given], resamples=resamples, seed=seed)
    n, v = len(difference), len(given)
    return SignFlip(float(difference.mean()), p, n, patterns, _exact(v, resamples), v)


def sign_flips(
    given: Sequence[NDArray[np.float64]], *, resamples: int = 10_000, seed: int = 0
) -> list[tuple[float, int]]:
    """Return p and the number of sign patterns of `sign_flip` for several tests.

    Tests with about as many differences use the same patterns, so that these are drawn once.

    Parameters
    ----------
    given
        For each test, the users' differences (V,) without those that are 0.
    resamples, seed
        As for `sign_flip`.

    """
    alike: dict[tuple[bool, int, int], list[int]] = {}
    for at, each in enumerate(given):
        v, exact = len(each), _exact(len(each), resamples)
        alike.setdefault((exact, v if exact else -(-v // 8), min(_BLOCK // max(v, 1), resamples)), []).append(at)
    found: dict[int, tuple[float, int]] = {}
    for (exact, size, rows), members in alike.items():
        most = min(_TOGETHER, max(1, _BYTES // (2048 * max(size, 1))))
        for start in range(0, len(members), most):
            part = members[start : start + most]
            draws = _every(size) if exact else _drawn(size, max(rows, 1), resamples, seed)
            extreme, patterns = _counted([given[at] for at in part], draws, exact)
            extra = 0 if exact else 1  # the observed signs count as one of the draws
            p = (extreme + extra) / (patterns + extra)
            found.update(zip(part, zip(p.tolist(), patterns.tolist(), strict=True), strict=True))
    return [found[at] for at in range(len(given))]


def _exact(v: int, resamples: int) -> bool:
    """Return whether all sign patterns of v differences are used."""
    return v < 63 and 2**v <= resamples


def _every(v: int) -> Iterator[NDArray[np.uint8]]:
    """Yield all sign patterns of v differences, as bytes (ceil(v / 8), 2^v)."""
    yield ((np.arange(2**v) >> (8 * np.arange(-(-v // 8))[:, None])) & 255).astype(np.uint8)


def _drawn(eights: int, rows: int, patterns: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield random sign patterns as bytes (eights, at most `rows`), the first 1,000 apart."""
    rng, start = np.random.Generator(np.random.PCG64(seed)), 0
    while start < patterns:
        size = min(rows, patterns - start, patterns if start else _FIRST)
        yield rng.integers(0, 256, (eights, size), np.uint8)
        start += size


def _counted(
    given: Sequence[NDArray[np.float64]], draws: Iterator[NDArray[np.uint8]], exact: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each of T tests how many sign patterns are at least as extreme as the observed one, of how many."""
    tables = np.stack([_sums_of_eight(each) for each in given], axis=2)
    totals = np.array([abs(float(each.sum())) * (1 - 1e-12) for each in given])
    extreme, patterns, going = np.zeros(len(given), np.int64), np.zeros(len(given), np.int64), np.arange(len(given))
    for drawn in draws:
        for start in range(0, drawn.shape[1], _PART):
            part = drawn[:, start : start + _PART]
            sums = np.zeros((part.shape[1], len(going)))
            for of_byte, chosen in zip(tables, part, strict=True):
                sums += of_byte.take(chosen, axis=0)
            extreme[going] += (np.abs(sums) >= totals[going]).sum(axis=0)
        patterns[going] += drawn.shape[1]
        if not exact and patterns[going[0]] == _FIRST:
            keep = extreme[going] <= _FIRST // 5
            going, tables = going[keep], np.ascontiguousarray(tables[:, :, keep])
            if not len(going):
                break
    return extreme, patterns


def _sums_of_eight(given: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of each eight signed differences by the byte of their signs, (ceil(V / 8), 256)."""
    eights = np.zeros(-(-len(given) // 8) * 8)
    eights[: len(given)] = given
    return np.asarray(eights.reshape(-1, 8) @ _SIGNS.T)


def differences(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a - b of the same users (U,); raises ValueError as `sign_flip`."""
    if np.shape(a) != np.shape(b) or np.ndim(a) != 1:
        raise ValueError(f"a and b must hold the same users, got shapes {np.shape(a)} and {np.shape(b)}")
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    if len(difference) < 2:
        raise ValueError(f"a test needs at least two users, got {len(difference)}")
    if not np.isfinite(difference).all():
        raise ValueError(f"{int((~np.isfinite(difference)).sum())} users' values are not finite: leave them out")
    return difference
