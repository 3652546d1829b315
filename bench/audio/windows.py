"""Cut a stream of samples into the windows of an extractor, as described in `bench.protocols.Window`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.audio.decode import stream
from bench.audio.normalize import Kind, normalized, statistics
from bench.errors import TrackError
from bench.protocols import Clip, Window

Samples = NDArray[np.float32]
FULL_TRACK = Clip()
BUFFERED_SECONDS = 600.0
"""Clips up to this length are decoded once and stay in memory for normalisation; longer ones are decoded twice."""


def windows(blocks: Iterable[Samples], window: Window, clip: Clip, rate: int) -> Iterator[Samples]:
    """Yield the windows of a track given as blocks (n,) of mono float32 at `rate`.

    Each window is a new array (left + length + right,); samples before the start and after the end of the clip are
    zeros. Only one window and one block are in memory, or the complete clip if the window has no length.

    The tail is the samples from the start of the next window, if some of them are not in a window yet.
    ``tail="keep"`` yields them as one shorter window if there are at least `shortest_tail` (default: `shortest`, and
    at least 1). With ``shortest_tail=0``, a start exactly at the end also gives a window, because a centred
    spectrogram has a frame there. ``tail="overlap"`` yields a full window that ends with the clip if at least
    `shortest_tail` (default 1) samples are not in a window. A clip shorter than one window always gives one window.

    Raises
    ------
    TrackError
        If the clip, including its padding, has fewer samples than `window.shortest`.

    """
    blocks = clipped(blocks, clip, rate)
    left, right = window.left, window.right
    if window.length is None:
        samples = np.concatenate([_zeros(left), *blocks, _zeros(right)])
        _long_enough(len(samples) - left - right, window, rate)
        yield samples
        return
    length, hop = window.length, window.hop
    buffer = _Buffer(left)
    start = total = 0
    for block in blocks:
        buffer.append(block)
        total += len(block)
        while start + length + right <= total:
            yield buffer.take(start - left, start + length + right)
            start += hop
        needed = min(start, total - length) if window.tail == "overlap" else start
        buffer.drop(needed - left)
    _long_enough(total, window, rate)
    buffer.append(_zeros(right))
    while start + length <= total:
        yield buffer.take(start - left, start + length + right)
        start += hop
    if start == 0:
        yield buffer.take(-left, total + right)
        return
    covered = start - hop + length
    least = window.shortest_tail
    if window.tail == "overlap" and total - max(start, covered) >= max(1, least or 1):
        yield buffer.take(total - length - left, total + right)
    if window.tail == "keep":
        rest = total - start
        least = max(window.shortest, 1) if least is None else least
        if rest >= least and (total > covered or rest == 0) and rest + left + right > 0:
            yield buffer.take(start - left, total + right)


def clipped(blocks: Iterable[Samples], clip: Clip, rate: int) -> Iterator[Samples]:
    """Yield the first round(clip.seconds * rate) samples, followed by zeros if `clip.pad` and the track is shorter.

    One more block than needed is requested, so that a stream that ends there can check its end.
    """
    if clip.seconds is None:
        yield from blocks
        return
    left = round(clip.seconds * rate)
    given = 0
    for block in blocks:
        if not left:
            break
        block = block[:left]
        left -= len(block)
        given += len(block)
        yield block
    while clip.pad and given and left:
        zeros = _zeros(min(left, 1 << 16))
        left -= len(zeros)
        yield zeros


def _zeros(count: int) -> Samples:
    return np.zeros(count, np.float32)


def _long_enough(samples: int, window: Window, rate: int) -> None:
    if samples < max(window.shortest, 1):
        needed = max(window.shortest, 1)
        raise TrackError(
            f"too short: {samples / rate:.3g} s, the model needs {needed / rate:.3g} s ({samples} of {needed} samples)"
        )


class _Buffer:
    """The blocks that later windows need, with their positions; the samples before position 0 are zeros."""

    def __init__(self, left: int) -> None:
        self._blocks: deque[tuple[int, Samples]] = deque([(-left, _zeros(left))])
        self._end = 0

    def append(self, block: Samples) -> None:
        self._blocks.append((self._end, block))
        self._end += len(block)

    def take(self, start: int, stop: int) -> Samples:
        """Return a copy of the samples (stop - start,)."""
        parts = []
        for first, block in self._blocks:
            if first >= stop:
                break
            if first + len(block) > start:
                parts.append(block[max(start - first, 0) : stop - first])
        return np.concatenate(parts) if parts else _zeros(0)

    def drop(self, before: int) -> None:
        """Remove the blocks that end at or before a position."""
        while self._blocks and self._blocks[0][0] + len(self._blocks[0][1]) <= before:
            self._blocks.popleft()


@dataclass(kw_only=True)
class TrackReader:
    """Read the windows of one track.

    `sample_rate`, `window`, `clip` and `normalize` are the attributes of an extractor; `offset` and `duration`
    (seconds) are those of a catalogue row.
    """

    path: str | Path = field(kw_only=False)
    sample_rate: int
    window: Window
    clip: Clip = FULL_TRACK
    normalize: Kind = "none"
    offset: float | None = None
    duration: float | None = None
    seconds: float = field(default=0.0, init=False)
    """Length of the audio read so far, without padding."""
    short: bool = field(default=False, init=False)
    """Whether the clip is shorter than one full window."""

    def __iter__(self) -> Iterator[Samples]:
        return self.windows()

    def windows(self) -> Iterator[Samples]:
        """Yield windows (left + length + right,), resampled and normalised.

        Raises
        ------
        TrackError
            While iterating, with a short reason: those of `bench.audio.decode.stream`, or too short.
            Some errors, such as silence, are raised only after the last window.

        """
        self.seconds, self.short = 0.0, False
        blocks = self._stream() if self.normalize == "none" else self._normalized()
        first = True
        for cut in windows(self._counted(blocks), self.window, self.clip, self.sample_rate):
            if first and self.window.length is not None:
                self.short = len(cut) < self.window.left + self.window.length + self.window.right
            first = False
            yield cut

    def _stream(self) -> Iterator[Samples]:
        return stream(
            self.path,
            sample_rate=self.sample_rate,
            offset=self.offset,
            duration=self.duration,
            limit=self.clip.seconds,
        )

    def _counted(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        count = 0
        for block in blocks:
            count += len(block)
            self.seconds = count / self.sample_rate
            yield block

    def _normalized(self) -> Iterator[Samples]:
        """Measure the complete clip, then normalise its blocks, from memory if it is short enough."""
        buffer: list[Samples] = []
        capacity = round(BUFFERED_SECONDS * self.sample_rate)

        def buffering() -> Iterator[Samples]:
            nonlocal capacity
            for block in self._stream():
                capacity -= len(block)
                if capacity >= 0:
                    buffer.append(block)
                else:
                    buffer.clear()
                yield block

        measured = statistics(buffering())
        return normalized(buffer if capacity >= 0 else self._stream(), self.normalize, measured)
