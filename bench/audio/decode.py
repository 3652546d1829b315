"""Decode a file to mono float32 at a given sample rate, in blocks, with constant memory."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from bench.audio.sndfile import ENOUGH
from bench.audio.sources import open_source
from bench.errors import TrackError

QUALITY = "HQ"
RESAMPLER = f"soxr-{QUALITY.lower()}"
"""The resampler and its quality, as in the keys of stored vectors; the version of soxr is not part of the key."""
SILENCE = 1e-6
"""Clips whose absolute samples are all below this (-120 dB of full scale) are silent."""


@dataclass(frozen=True)
class Info:
    """The header of a file: sample rate in Hz, length in seconds (None if not stated)."""

    sample_rate: int
    channels: int
    seconds: float | None
    format: str
    decoder: str


def probe(path: str | Path) -> Info:
    """Read the header of `path` without decoding.

    Raises
    ------
    TrackError
        If the file is missing, empty, unreadable or not audio, or there is no decoder; `UnavailableError` if this
        machine is at fault.

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
    """Yield the audio from `offset`, of length `duration` (seconds), as blocks (n,) of mono float32 at `sample_rate`.

    Mono is the arithmetic mean of the channels. The section starts at frame round(offset * rate), in the sample rate
    of the file, and has round(duration * rate) frames, or ends with the file. Then it is resampled with zeros before
    and after it (soxr, quality HQ; equal rates are not resampled): n frames become
    floor(n * sample_rate / rate + 1/2) samples. `limit` ends the stream after round(limit * sample_rate) samples.
    The sizes of the blocks vary, but the samples do not depend on them.

    Raises
    ------
    TrackError
        While iterating, with a short reason: those of `probe`; offset beyond the end; truncated or damaged (less than
        95 % of the section decodes, or bytes are left that may be audio); NaN or infinite samples; after the last
        block, silent.

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
            samples = block if left is None else block[:left]
            if not len(samples):
                continue
            # If a sample is NaN or infinite, so is the maximum or minimum.
            high, low = float(samples.max()), float(samples.min())
            if not math.isfinite(high - low):
                raise TrackError("NaN or infinite samples")
            peak = max(peak, high, -low)
            yield samples
            if left is not None:
                left -= len(samples)
                if left == 0:
                    break
        else:
            _complete(decoded, promised, start, rate)
    if peak < SILENCE:
        heard = count if limit is None else min(round(limit * rate), count or sys.maxsize)
        cancel = source.channels > 1 and _channels_cancel(path, start, heard)
        raise TrackError("silent: the channels cancel each other in their mean" if cancel else "silent")


def _complete(decoded: int, promised: int | None, start: int, rate: int) -> None:
    """Raise `TrackError` if less than the share `ENOUGH` of the promised frames, or nothing, was decoded."""
    if promised and decoded < ENOUGH * promised:
        raise TrackError(f"truncated: {decoded / rate:.1f} of {promised / rate:.1f} seconds decoded")
    if not decoded:
        raise TrackError(f"offset beyond the end: {start / rate:.6g} s" if start else "no samples")


def _channels_cancel(path: str | Path, start: int, count: int | None) -> bool:
    """Whether a block that is silent in mono is not silent in one of its channels."""
    with closing(open_source(os.fspath(path))) as source:
        return any(np.abs(block).max() >= SILENCE > np.abs(mono(block)).max() for block in source.blocks(start, count))


def mono(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the arithmetic mean (n,) of the channels of a block (n, channels)."""
    channels = block.shape[1]
    if channels == 1:
        return np.ascontiguousarray(block[:, 0])
    # Add the columns one by one: this is several times faster than np.mean over a short last axis.
    with np.errstate(over="ignore", invalid="ignore"):
        total = block[:, 0] + block[:, 1]
        for channel in range(2, channels):
            total += block[:, channel]
        total *= np.float32(1 / channels)
    return total


def resampled(blocks: Iterable[NDArray[np.float32]], rate: int, sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """Resample mono blocks (n,) from `rate` to `sample_rate` Hz; the result does not depend on the block sizes."""
    if rate == sample_rate:
        yield from blocks
        return
    resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality=QUALITY)
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
