"""How frames become the vector of a track: what an extractor declares, and other ways that a spec can name."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self, cast

from bench.errors import BenchError

Pooling = Literal["mean", "mean_std", "mean_cov", "max", "first", "own"]
"""See `bench.extract.pooling`."""

_OF_FRAMES: Sequence[Pooling] = ("mean", "mean_std", "max", "first")


class Poolable:
    """An extractor, as far as pooling is concerned."""

    name: str
    window: Any
    """The `Window` of an extractor."""
    pooling: Pooling = "mean"
    """How frames become a vector; ``pooling=`` in a spec names another way (`poolings`)."""
    _poolings: Sequence[Pooling] | None = None

    @property
    def poolings(self) -> Sequence[Pooling]:
        """What ``pooling=`` can be: the declared pooling first, then the others that make sense.

        A model that takes the whole track as one window has no first window. A model that pools its own windows gives
        no frames, and so neither deviations nor maxima over time.
        """
        if self._poolings is not None:
            return self._poolings
        others: Sequence[Pooling] = ("first",) if self.pooling == "own" else _OF_FRAMES
        found = dict.fromkeys((self.pooling, *others))
        return [one for one in found if one != "first" or self.window.length is not None]

    def pooled(self, pooling: str) -> Self:
        """Return a copy with another pooling of the same frames.

        Raises
        ------
        BenchError
            When it is none of `poolings`.

        """
        if pooling not in self.poolings:
            raise BenchError(f"{self.name} has no pooling={pooling}; it has: {', '.join(self.poolings)}.")
        other = copy.copy(self)
        other._poolings, other.pooling = self.poolings, cast("Pooling", pooling)
        return other
