"""Random numbers and functions that are bit for bit the same on every machine and with every library version.

NumPy guarantees the raw output of a bit generator but not the methods of `Generator`, so this module only
uses the raw 64-bit words. Sine and exponential come from the platform's libm, which may differ in the last
bit: they are tabulated once and rounded to multiples of 2^-20, ten orders of magnitude coarser than such a
difference. Other computations use only elementwise +, -, *, / and square roots, whose results IEEE 754
defines, and sums of integers, which do not depend on the order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

T = TypeVar("T")

GRID: Final = 2.0**20
TURN: Final = 2048
"""Entries of `SINE`: one period."""
STEPS: Final = 64
"""Entries of the exponential's table per unit of its argument."""
LOWEST, HIGHEST = -12, 4
"""Range of the exponential's argument."""


def rounded(values: ArrayLike) -> NDArray[np.float64]:
    """Round to multiples of 1/GRID, which removes differences in the last bits of libm."""
    return np.rint(np.asarray(values, dtype=np.float64) * GRID) / GRID


SINE: Final = rounded(np.sin(np.arange(TURN) * (2 * np.pi / TURN)))
_EXP: Final = rounded(np.exp(np.arange(LOWEST * STEPS, HIGHEST * STEPS + 1) / STEPS))
SEMITONE: Final = rounded(np.exp2(np.arange(12) / 12))
"""Frequency ratios (12,) of the semitones above a note."""


def exp(x: ArrayLike) -> NDArray[np.float64]:
    """Return the exponential of `x` (...) after rounding `x` to 1/64 and clipping it to [-12, 4]."""
    index = np.rint(np.asarray(x, dtype=np.float64) * STEPS).astype(np.int64) - LOWEST * STEPS
    return np.asarray(_EXP[np.clip(index, 0, len(_EXP) - 1)])


class Stream:
    """A stream of random numbers with a name for its purpose: ``Stream(seed, "sound", "t0001")``.

    Streams with different names are independent, so that one track can be generated without the others, and
    a change in one place does not change the random numbers elsewhere.
    """

    def __init__(self, *name: int | str) -> None:
        spelled = "\x1f".join(str(part) for part in name).encode()
        self._bits = np.random.PCG64(int.from_bytes(hashlib.sha256(spelled).digest()[:16], "little"))

    def raw(self, n: int) -> NDArray[np.uint64]:
        """Draw `n` words of 64 random bits."""
        return np.asarray(self._bits.random_raw(n), dtype=np.uint64)

    def uniform(self, *shape: int) -> NDArray[np.float64]:
        """Draw from [0, 1) with 53 random bits."""
        words = self.raw(_count(shape)) >> np.uint64(11)
        return np.asarray(words.astype(np.float64) * 2.0**-53).reshape(shape)

    def between(self, low: float, high: float, *shape: int) -> NDArray[np.float64]:
        """Draw from [low, high)."""
        return np.asarray(low + (high - low) * self.uniform(*shape))

    def integers(self, high: int, *shape: int) -> NDArray[np.int64]:
        """Draw from 0, ..., high - 1."""
        return np.minimum((self.uniform(*shape) * high).astype(np.int64), high - 1)

    def normal(self, *shape: int) -> NDArray[np.float64]:
        """Draw from approximately a standard normal distribution: the sum of twelve uniforms minus six."""
        n = _count(shape)
        words = (self.raw(12 * n) >> np.uint64(32)).astype(np.int64).reshape(12, n)
        return np.asarray(words.sum(axis=0).astype(np.float64) * 2.0**-32 - 6.0).reshape(shape)

    def coins(self, share: float, *shape: int) -> NDArray[np.bool_]:
        """Draw True with probability `share`."""
        return np.asarray(self.uniform(*shape) < share)

    def choice(self, weights: ArrayLike, *shape: int) -> NDArray[np.int64]:
        """Draw indices of `weights` (n,) with probability proportional to the weight, rounded to the grid."""
        total = np.cumsum(np.rint(np.asarray(weights, dtype=np.float64) * GRID).astype(np.int64))
        return np.searchsorted(total, self.integers(int(total[-1]), *shape), side="right").astype(np.int64)

    def order(self, n: int) -> NDArray[np.int64]:
        """Draw a permutation of 0, ..., n - 1."""
        return np.argsort(self.raw(n), kind="stable").astype(np.int64)

    def noise(self, n: int) -> NDArray[np.float32]:
        """Draw `n` samples of white noise in [-1, 1), 16 random bits each."""
        words = self.raw(-(-n // 4)).astype("<u8").view("<i2")[:n]
        return np.asarray(words.astype(np.float32) * np.float32(2.0**-15))

    # Single values, as Python numbers.

    def number(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw one number from [low, high)."""
        return float(self.between(low, high, 1)[0])

    def coin(self, share: float) -> bool:
        """Draw one True with probability `share`."""
        return self.number() < share

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of `options`."""
        return options[int(self.integers(len(options), 1)[0])]


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count
