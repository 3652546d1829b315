"""Decode a file to mono float32 at a wanted rate, block by block, in memory that does not grow with it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from bench.audio.sources import open_source
from bench.errors import TrackError

QUALITY = "HQ"
RESAMPLER = f"soxr-{QUALITY.lower()}"
"""Names the resampler and its quality in the keys of stored vectors; its version is not part of it."""
ENOUGH = 0.95
"""Share of the promised length that must decode."""
SILENCE = 1e-6
"""Highest absolute sample (-120 dB of full scale) of what counts as silence."""


@dataclass(frozen=True)
class Info:
    """What a file says of itself: rate in Hz, length in seconds (None: it does not say)."""

    sample_rate: int
    channels: int
    seconds: float | None
    format: str
    decoder: str


def probe(path: str | Path) -> Info:
    """Read the header of `path`; nothing is decoded.

    Raises
    ------
    TrackError
        Missing, empty file, cannot be read, not audio, no decoder.

    """
    with closing(open_source(os.fspath(path))) as source:
        seconds = None if source.frames is None else source.frames / source.rate
        return Info(source.rate, source.channels, seconds, source.format, source.decoder)


def stream(
    path: str | Path,
    *,
    sample_rate: int,
    offset: float | None = None,
    duration: float | None = None,
    limit: float | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the sound from `offset` on, `duration` long, as blocks (n,) of mono float32 at `sample_rate`.

    Mono is the arithmetic mean of the channels. The part is cut at the file's own rate, at frame
    round(offset * rate) and round(duration * rate) frames long or up to the file's end, and is then
    resampled as if zeros lay around it (soxr, quality HQ; not at all when the rates are equal): n
    frames become floor(n * sample_rate / rate + 1/2) samples. `limit` ends the stream after
    round(limit * sample_rate) of these samples. Sizes of blocks vary; what they hold does not depend
    on them.

    Raises
    ------
    TrackError
        While iterating, with a short reason: those of `probe`; offset beyond the end; truncated (less
        than 95% of the promised part decodes; an Ogg file promises nothing); NaN or infinite samples;
        and, after the last block, silent.

    """
    with closing(open_source(os.fspath(path))) as source:
        rate = source.rate
        start = 0 if offset is None else round(offset * rate)
        count = None if duration is None else round(duration * rate)
        promised = None if source.frames is None else source.frames - start
        if promised is not None and promised <= 0 < start:
            length = (promised + start) / rate
            raise TrackError(f"offset beyond the end: {start / rate:.6g} s of {length:.6g} s")
        if promised is not None and count is not None:
            promised = min(promised, count)
        decoded = 0

        def part() -> Iterator[NDArray[np.float32]]:
            nonlocal decoded
            for block in source.blocks(start, count):
                decoded += len(block)
                yield mono(block)

        peak = 0.0
        left = None if limit is None else round(limit * sample_rate)
        for block in resampled(part(), rate, sample_rate):
            heard = block if left is None else block[:left]
            if not len(heard):
                continue
            # NaN and infinity show in the extremes.
            high, low = float(heard.max()), float(heard.min())
            if not math.isfinite(high - low):
                raise TrackError("NaN or infinite samples")
            peak = max(peak, high, -low)
            yield heard
            if left is not None:
                left -= len(heard)
                if left == 0:
                    break
        else:
            _complete(decoded, promised, start, rate)
    if peak < SILENCE:
        raise TrackError("silent")


def _complete(decoded: int, promised: int | None, start: int, rate: int) -> None:
    """Raise unless (nearly) all that was promised was decoded."""
    if promised and decoded < ENOUGH * promised:
        raise TrackError(f"truncated: {decoded / rate:.1f} of {promised / rate:.1f} seconds decoded")
    if not decoded:
        raise TrackError(f"offset beyond the end: {start / rate:.6g} s" if start else "no samples")


def mono(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Arithmetic mean (n,) of the channels of a block (n, channels)."""
    channels = block.shape[1]
    if channels == 1:
        return np.ascontiguousarray(block[:, 0])
    # Column by column: NumPy's mean over a short last axis takes several times as long.
    with np.errstate(over="ignore", invalid="ignore"):
        total = block[:, 0] + block[:, 1]
        for channel in range(2, channels):
            total += block[:, channel]
        total *= np.float32(1 / channels)
    return total


def resampled(blocks: Iterable[NDArray[np.float32]], rate: int, sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """Resample mono blocks (n,) from `rate` to `sample_rate` Hz; soxr's result does not depend on the cuts."""
    if rate == sample_rate:
        yield from blocks
        return
    resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality=QUALITY)
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
