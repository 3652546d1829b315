"""Pool frames over time into the vector of a track.

Every pooling counts each frame of all windows of a track once, so a window counts by its number of frames; sums are
float64. The poolings, for frames of width D:

``mean``
    the mean (D,)
``mean_std``
    the mean, then the standard deviation (population, 2 D). The squares of each window are taken around its own mean
    and merged with the pairwise update of Chan, Golub and LeVeque (1983), so that nothing cancels.
``mean_cov``
    the mean, then the row-major upper triangle of the sample covariance
``max``
    the largest value of each feature (D,), exact
``first``
    the mean over the frames of the first window (D,)
``own``
    the mean over windows that the model has pooled itself (D,)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench import devices
from bench.errors import BenchError, TrackError
from bench.protocols import Extractor, Pooling

if TYPE_CHECKING:
    import torch

    from bench.extract.transfer import Transfer

Statistic = Literal["squares", "outer", "max"]
NEEDS: Mapping[Pooling, Statistic] = {"mean_std": "squares", "mean_cov": "outer", "max": "max"}
"""What a pooling needs of a window beside the sum of its frames."""

Sums = dict[str, tuple[int, NDArray[np.float64], Mapping[Statistic, NDArray[np.float64]]]]
"""Layer id -> frames per window, sum over frames (B, D), and statistics: sums of squared deviations from the window's
mean (B, D), sums of outer products (B, D, D), maxima (B, D)."""

PART = 1 << 22
"""Values that are copied to float64 at a time: 32 MiB."""


def sums(extractor: Extractor, waves: torch.Tensor) -> Sums:
    """Return the sums of one batch of windows (B, T); see `start_sums`."""
    from bench.extract.transfer import Transfer

    return start_sums(extractor, waves, Transfer(str(waves.device)))()


def start_sums(
    extractor: Extractor, waves: torch.Tensor, transfer: Transfer, poolings: Sequence[Pooling] = ()
) -> Callable[[], Sums]:
    """Run one batch of windows (B, T) once, sum the frames of every layer, and return a function that fetches the sums.

    All layers are copied to the host at once, so that it waits once for a batch. `poolings` are those to compute, by
    default the extractor's.

    Raises
    ------
    BenchError
        If a layer is unknown, missing, or not (B, F, D) with the declared D, for example because the plugin
        transposes the frames or averages over features.

    """
    import torch

    exact = devices.has_float64(str(waves.device))
    wanted = sorted({NEEDS[one] for one in poolings or (extractor.pooling,) if one in NEEDS})
    shapes: dict[str, list[tuple[int, ...]]] = {}
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
        if "own" in extractor.poolings and frames.shape[1] != 1:
            raise BenchError(f"{extractor.name} pools its own windows but gave {frames.shape[1]} frames in one.")
        counts[name] = frames.shape[1]
        frames = frames if exact else frames.cpu()
        found = [frames.sum(dim=1, dtype=torch.float64), *(_statistic(one, frames) for one in wanted)]
        shapes[name] = [tuple(one.shape) for one in found]
        parts += [one.flatten() for one in found]
    if absent := set(extractor.layers) - set(counts):
        raise BenchError(f"{extractor.name} declares layers it did not give: {', '.join(sorted(absent))}.")
    arrive = transfer.down(torch.cat(parts))

    def fetch() -> Sums:
        flat = arrive()
        out: Sums = {}
        at = 0
        for name, frames in counts.items():
            arrays: list[NDArray[Any]] = []
            for shape in shapes[name]:
                arrays.append(flat[at : at + math.prod(shape)].reshape(shape))
                at += math.prod(shape)
            out[name] = (frames, arrays[0], dict(zip(wanted, arrays[1:], strict=True)))
        return out

    return fetch


def _statistic(name: Statistic, frames: torch.Tensor) -> torch.Tensor:
    """Return a statistic of the frames (B, F, D) of each window, in float64."""
    import torch

    if name == "max":
        return frames.amax(dim=1).to(torch.float64)
    if name == "outer":
        wide = frames.to(torch.float64)
        return torch.einsum("bfd,bfe->bde", wide, wide)
    found = []
    windows = max(1, PART // (frames.shape[1] * frames.shape[2]))  # float64 for all would take much memory
    for part in torch.split(frames, windows):
        wide = part.to(torch.float64)
        found.append((wide - wide.mean(dim=1, keepdim=True)).square_().sum(dim=1))
    return torch.cat(found)


class Pool:
    """The sums over the frames of one track; with `first`, also those of its first window alone."""

    def __init__(self, *, first: bool = False) -> None:
        self._keep_first = first
        self._first: dict[str, NDArray[np.float64]] = {}
        self._count: dict[str, int] = {}
        self._sum: dict[str, NDArray[np.float64]] = {}
        self._more: dict[str, dict[Statistic, NDArray[np.float64]]] = {}

    def add(self, batch: Sums, row: int, *, first: bool = False) -> None:
        """Add the sums of window `row` of a batch; `first`: it is the first window of the track."""
        for name, (frames, total, found) in batch.items():
            if first and self._keep_first:
                self._first[name] = total[row] / frames
            more, count = self._more.setdefault(name, {}), self._count.get(name, 0)
            for kind, values in found.items():
                one = values[row]
                if kind not in more:
                    more[kind] = one.copy()
                elif kind == "max":
                    more[kind] = np.maximum(more[kind], one)
                else:
                    more[kind] += one
            if count and "squares" in more:
                apart = total[row] / frames - self._sum[name] / count
                more["squares"] += apart**2 * (count * frames / (count + frames))
            self._count[name] = count + frames
            self._sum[name] = self._sum.get(name, 0.0) + total[row]

    def vectors(self, pooling: Pooling) -> dict[str, NDArray[np.float64]]:
        """Return layer id -> vector of the track; see the top of this module.

        Raises
        ------
        TrackError
            If a vector is not finite, or there are fewer than two frames for a covariance.

        """
        out = {name: self._vector(name, pooling) for name in self._sum}
        for name, vector in out.items():
            if not np.isfinite(vector).all():
                raise TrackError(f"the model gave NaN or infinity in layer {name!r}")
        return out

    def _vector(self, name: str, pooling: Pooling) -> NDArray[np.float64]:
        if pooling == "first":
            return self._first[name]
        more, n = self._more[name], self._count[name]
        if pooling == "max":
            return more["max"]
        mean: NDArray[np.float64] = self._sum[name] / n
        if pooling == "mean_std":
            return np.concatenate([mean, np.sqrt(more["squares"] / n)])
        if pooling == "mean_cov":
            if n < 2:
                raise TrackError(f"too short: {n} frame, a covariance needs two")
            covariance = (more["outer"] - n * np.outer(mean, mean)) / (n - 1)
            return np.concatenate([mean, covariance[np.triu_indices(len(mean))]])
        return mean
