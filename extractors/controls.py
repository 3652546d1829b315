"""Controls: vectors without information about the music, to compare embeddings with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.protocols import TableSource


class _Complete(TableSource):
    """A source that has a vector for every id."""

    def fingerprint(self) -> dict[str, Any]:
        """Return the settings, the only thing that changes the numbers."""
        return dict(vars(self.settings))

    def present(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Return True for all ids."""
        return np.ones(len(ids), np.bool_)


@dataclass(frozen=True)
class RandomSettings:
    """Width of the random vectors.

    dim : values of a vector
    """

    dim: int = 128

    def __post_init__(self) -> None:
        """Reject an empty vector."""
        if self.dim < 1:
            raise ValueError(f"dim must be positive, got {self.dim}")


class Random(_Complete):
    """Independent standard normal vectors: distinct items, no content."""

    Settings = RandomSettings
    name = "random"
    settings: RandomSettings

    def table(self, ids: Sequence[str], *, base: NDArray[np.float32] | None, seed: int) -> NDArray[np.float32]:
        """Return rows (N, dim) drawn from N(0, I)."""
        return np.random.default_rng([seed, 1]).standard_normal((len(ids), self.settings.dim), np.float32)


@dataclass(frozen=True)
class OfSettings:
    """Which vectors to imitate.

    of : the spec that gives them, in parentheses if it has several settings
    """

    of: str


class _Of(_Complete):
    Settings = OfSettings
    settings: OfSettings

    @property
    def of(self) -> str | None:
        """Return the spec whose vectors arrive as `base`."""
        return self.settings.of


class Gaussian(_Of):
    """Vectors drawn from a normal distribution with the mean and covariance of another extractor's vectors."""

    name = "gaussian"

    def table(self, ids: Sequence[str], *, base: NDArray[np.float32] | None, seed: int) -> NDArray[np.float32]:
        """Return rows (N, D) drawn with the mean and covariance of `base` (N, D)."""
        assert base is not None
        mean = base.mean(axis=0, dtype=np.float64)
        centred = base - mean
        # z @ centred / sqrt(n - 1) has exactly the sample covariance, without factoring a D x D matrix.
        rng = np.random.default_rng([seed, 2])
        out = np.empty_like(base)
        for start in range(0, len(ids), 1024):
            z = rng.standard_normal((len(out[start : start + 1024]), len(base)))
            out[start : start + 1024] = mean + z @ centred / np.sqrt(max(len(base) - 1, 1))
        return out


class Shuffled(_Of):
    """Another extractor's vectors with permuted rows: the same table, assigned to other items.

    The control of the journal version of the paper: what a model scores with it does not come from content.
    """

    name = "shuffled"

    def table(self, ids: Sequence[str], *, base: NDArray[np.float32] | None, seed: int) -> NDArray[np.float32]:
        """Return `base` (N, D) in an order drawn from `seed`."""
        assert base is not None
        return base[np.random.default_rng([seed, 3]).permutation(len(ids))]


class Nothing(_Complete):
    """Empty vectors (N, 0): for models that learn their own, or need none."""

    name = "none"

    def table(self, ids: Sequence[str], *, base: NDArray[np.float32] | None, seed: int) -> NDArray[np.float32]:
        """Return a table without columns."""
        return np.zeros((len(ids), 0), np.float32)
