"""Normalise the level of a clip by its mean and variance, or by its peak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kind = Literal["none", "zscore", "peak"]
FLOOR = 1e-7
"""Added to the variance, as the feature extractors of wav2vec 2.0, HuBERT and MERT do."""


class Statistics(NamedTuple):
    """Mean, population standard deviation and maximum absolute value of the samples of a clip."""

    mean: float
    std: float
    peak: float


def statistics(blocks: Iterable[NDArray[np.float32]]) -> Statistics:
    """Return the statistics of a clip given as blocks (n,), accumulated in float64.

    Means and squared deviations of the blocks are merged as in Chan, Golub and LeVeque (1979), which is accurate
    even if the mean is large compared with the deviation. Without samples, all statistics are 0.
    """
    count, mean, squares, peak = 0, 0.0, 0.0, 0.0
    for block in blocks:
        n = len(block)
        if not n:
            continue
        wide = block.astype(np.float64)
        block_mean = float(wide.mean())
        wide -= block_mean
        difference = block_mean - mean
        squares += float(wide @ wide) + difference * difference * count * n / (count + n)
        mean += difference * n / (count + n)
        count += n
        peak = max(peak, float(block.max()), -float(block.min()))
    return Statistics(mean, (squares / count) ** 0.5 if count else 0.0, peak)


def normalized(blocks: Iterable[NDArray[np.float32]], kind: Kind, known: Statistics) -> Iterator[NDArray[np.float32]]:
    """Yield the normalised blocks (n,).

    ``zscore``: (x - mean) / sqrt(variance + 1e-7). ``peak``: x / peak. ``none``: unchanged.
    """
    if kind == "none" or (kind == "peak" and known.peak == 0):
        yield from blocks
        return
    shift = known.mean if kind == "zscore" else 0.0
    scale = 1 / (known.std**2 + FLOOR) ** 0.5 if kind == "zscore" else 1 / known.peak
    for block in blocks:
        # In float64, for accuracy if the mean is large.
        yield ((block.astype(np.float64) - shift) * scale).astype(np.float32)
