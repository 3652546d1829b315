"""Level of a clip: its mean, spread and peak, and the two ways extractors want it evened out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kind = Literal["none", "zscore", "peak"]
FLOOR = 1e-7
"""Added to the variance, as the feature extractors of wav2vec 2.0, HuBERT and MERT do."""


class Statistics(NamedTuple):
    """Of all samples of a clip: mean, standard deviation (population), highest absolute value."""

    mean: float
    std: float
    peak: float


def statistics(blocks: Iterable[NDArray[np.float32]]) -> Statistics:
    """Return the statistics of a clip given as blocks (n,), accumulated in float64.

    Blocks are merged by their means and squared deviations (Chan, Golub and LeVeque, 1979), which does
    not lose digits when the mean is large beside the spread. Of no samples at all everything is 0.
    """
    count, mean, squares, peak = 0, 0.0, 0.0, 0.0
    for block in blocks:
        n = len(block)
        if not n:
            continue
        wide = block.astype(np.float64)
        middle = float(wide.mean())
        wide -= middle
        apart = middle - mean
        squares += float(wide @ wide) + apart * apart * count * n / (count + n)
        mean += apart * n / (count + n)
        count += n
        peak = max(peak, float(block.max()), -float(block.min()))
    return Statistics(mean, (squares / count) ** 0.5 if count else 0.0, peak)


def normalized(blocks: Iterable[NDArray[np.float32]], kind: Kind, known: Statistics) -> Iterator[NDArray[np.float32]]:
    """Yield the blocks (n,) at their new level.

    ``zscore``: (x - mean) / sqrt(variance + 1e-7). ``peak``: x / peak. ``none``: as they are.
    """
    if kind == "none" or (kind == "peak" and known.peak == 0):
        yield from blocks
        return
    shift = known.mean if kind == "zscore" else 0.0
    scale = 1 / (known.std**2 + FLOOR) ** 0.5 if kind == "zscore" else 1 / known.peak
    for block in blocks:
        # In float64, so that a large mean costs no digits.
        yield ((block.astype(np.float64) - shift) * scale).astype(np.float32)
