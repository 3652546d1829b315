"""Average frames over time into the vector of a track.

The mean is taken over the frames of all windows of a track, in float64, so a window counts by its number of frames.
``mean_cov`` also computes the covariance of the frames, ``mean_std`` their standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench import devices
from bench.errors import BenchError, TrackError
from bench.protocols import Extractor

if TYPE_CHECKING:
    import torch

    from bench.extract.transfer import Transfer

Sums = dict[str, tuple[int, NDArray[np.float64], NDArray[np.float64] | None]]
"""layer id -> frames per window, sum over frames (B, D), sum of outer products (B, D, D) or squares (B, D), or None."""


def sums(extractor: Extractor, waves: torch.Tensor) -> Sums:
    """Return the sums of one batch of windows (B, T); see `start_sums`."""
    from bench.extract.transfer import Transfer

    return start_sums(extractor, waves, Transfer(str(waves.device)))()


def start_sums(extractor: Extractor, waves: torch.Tensor, transfer: Transfer) -> Callable[[], Sums]:
    """Run one batch of windows (B, T), sum the frames of every layer, and return a function that fetches the sums.

    All layers are copied to the host at once, so that it waits once for a batch.

    Raises
    ------
    BenchError
        If a layer is unknown, missing, or not (B, F, D) with the declared D, for example because the plugin
        transposes the frames or averages over features.

    """
    import torch

    exact = devices.has_float64(str(waves.device))
    second = {"mean_cov": "bfd,bfe->bde", "mean_std": "bfd,bfd->bd"}.get(extractor.pooling)
    counts: dict[str, int] = {}
    parts: list[torch.Tensor] = []
    for name, frames in extractor.frames(waves):
        width = extractor.layers.get(name)
        if width is None:
            raise BenchError(f"{extractor.name} gave a layer {name!r} that it does not declare.")
        if name in counts:
            raise BenchError(f"{extractor.name} gave the layer {name!r} twice.")
        if frames.ndim != 3 or frames.shape[0] != waves.shape[0] or frames.shape[2] != width or not frames.shape[1]:
            raise BenchError(
                f"{extractor.name}: layer {name!r} has shape {tuple(frames.shape)}; expected frames "
                f"(batch {waves.shape[0]}, time, {width}). The harness averages over time."
            )
        if extractor.pooling == "own" and frames.shape[1] != 1:
            raise BenchError(f"{extractor.name} pools its own windows but gave {frames.shape[1]} frames in one.")
        counts[name] = frames.shape[1]
        frames = frames if exact else frames.cpu()
        parts.append(frames.sum(dim=1, dtype=torch.float64).flatten())
        if second:
            wide = frames.to(torch.float64)
            parts.append(torch.einsum(second, wide, wide).flatten())
    if absent := set(extractor.layers) - set(counts):
        raise BenchError(f"{extractor.name} declares layers it did not give: {', '.join(sorted(absent))}.")
    batch, widths = len(waves), {name: extractor.layers[name] for name in counts}
    arrive = transfer.down(torch.cat(parts))

    def fetch() -> Sums:
        flat = arrive()
        found: Sums = {}
        at = 0
        for name, frames in counts.items():
            width = widths[name]
            total = flat[at : at + batch * width].reshape(batch, width)
            at += batch * width
            outer = None
            if second:
                shape = (batch, width, width) if extractor.pooling == "mean_cov" else (batch, width)
                outer = flat[at : at + math.prod(shape)].reshape(shape)
                at += math.prod(shape)
            found[name] = (frames, total, outer)
        return found

    return fetch


class Pool:
    """The sums over the frames of one track."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self._sum: dict[str, NDArray[np.float64]] = {}
        self._outer: dict[str, NDArray[np.float64]] = {}

    def add(self, batch: Sums, row: int) -> None:
        """Add the sums of window `row` of a batch."""
        for name, (frames, total, outer) in batch.items():
            self._count[name] = self._count.get(name, 0) + frames
            self._sum[name] = self._sum.get(name, 0.0) + total[row]
            if outer is not None:
                self._outer[name] = self._outer.get(name, 0.0) + outer[row]

    def vectors(self) -> dict[str, NDArray[np.float64]]:
        """Return layer id -> vector: the mean (D,), and what follows it.

        For ``mean_cov`` that is the upper triangle of the covariance, for ``mean_std`` the standard deviations (D,).

        Raises
        ------
        TrackError
            If a vector is not finite, or there are fewer than two frames for a covariance.

        """
        out = {}
        for name, total in self._sum.items():
            n = self._count[name]
            vector = mean = total / n
            if name in self._outer and self._outer[name].ndim == 1:
                variance = self._outer[name] / n - mean**2
                vector = np.concatenate([mean, np.sqrt(np.maximum(variance, 0))])
            elif name in self._outer:
                if n < 2:
                    raise TrackError(f"too short: {n} frame, a covariance needs two")
                covariance = (self._outer[name] - n * np.outer(mean, mean)) / (n - 1)
                vector = np.concatenate([mean, covariance[np.triu_indices(len(mean))]])
            if not np.isfinite(vector).all():
                raise TrackError(f"the model gave NaN or infinity in layer {name!r}")
            out[name] = vector
        return out
