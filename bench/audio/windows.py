"""Cut a stream of samples into the windows an extractor declares: the rules of `bench.protocols.Window`."""

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
WHOLE = Clip()
KEPT_SECONDS = 600.0
"""Clips up to this length stay in memory between the pass that measures their level and the one that
cuts them; longer ones are decoded twice."""


def windows(blocks: Iterable[Samples], window: Window, clip: Clip, rate: int) -> Iterator[Samples]:
    """Yield the windows of a track given as blocks (n,) of mono float32 at `rate`.

    Each is a new array (left + length + right,) in which zeros stand only beyond the ends of the
    clip; a kept tail has a shorter core. Memory holds one window and one block, or the whole clip
    when the window has no length.

    What is left after the last full window: the samples from the next start on, provided that some of
    them lie in no window yet. ``keep`` yields them as one shorter window when there are at least
    `shortest_tail` (default: `shortest`, and at least 1). With ``shortest_tail=0`` a start exactly at
    the end counts too: a centred spectrogram has a frame there. ``overlap`` yields a full window that
    ends at the end, whenever `shortest_tail` (default 1) samples or more are in no window. A clip
    shorter than one window is one window, whatever `tail` says.

    Raises
    ------
    TrackError
        When the clip, padded if the policy says so, has fewer samples than `window.shortest`.

    """
    blocks = clipped(blocks, clip, rate)
    left, right = window.left, window.right
    if window.length is None:
        whole = np.concatenate([_zeros(left), *blocks, _zeros(right)])
        _long_enough(len(whole) - left - right, window, rate)
        yield whole
        return
    length, hop = window.length, window.hop
    held = _Held(left)
    start = total = 0
    for block in blocks:
        held.append(block)
        total += len(block)
        while start + length + right <= total:
            yield held.take(start - left, start + length + right)
            start += hop
        needed = min(start, total - length) if window.tail == "overlap" else start
        held.forget(needed - left)
    _long_enough(total, window, rate)
    held.append(_zeros(right))
    while start + length <= total:
        yield held.take(start - left, start + length + right)
        start += hop
    if start == 0:
        yield held.take(-left, total + right)
        return
    covered = start - hop + length
    least = window.shortest_tail
    if window.tail == "overlap" and total - max(start, covered) >= max(1, least or 1):
        yield held.take(total - length - left, total + right)
    if window.tail == "keep":
        rest = total - start
        least = max(window.shortest, 1) if least is None else least
        if rest >= least and (total > covered or rest == 0) and rest + left + right > 0:
            yield held.take(start - left, total + right)


def clipped(blocks: Iterable[Samples], clip: Clip, rate: int) -> Iterator[Samples]:
    """Yield the first round(clip.seconds * rate) samples, filled up with zeros if the clip is to be padded.

    One block more than needed is asked for, so that a stream which ends there can end properly.
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


class _Held:
    """The blocks that windows still need, by position; zeros lie before position 0."""

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

    def forget(self, before: int) -> None:
        """Drop the blocks that end at or before a position."""
        while self._blocks and self._blocks[0][0] + len(self._blocks[0][1]) <= before:
            self._blocks.popleft()


@dataclass(kw_only=True)
class TrackReader:
    """The windows of one track; after the last one, how much was heard.

    The keyword arguments `sample_rate`, `window`, `clip` and `normalize` are those of an extractor;
    `offset` and `duration` (seconds) those of a catalogue row.
    """

    path: str | Path = field(kw_only=False)
    sample_rate: int
    window: Window
    clip: Clip = WHOLE
    normalize: Kind = "none"
    offset: float | None = None
    duration: float | None = None
    seconds: float = field(default=0.0, init=False)
    """Length of real audio in the windows so far (padding not counted)."""
    short: bool = field(default=False, init=False)
    """Whether the clip is shorter than one full window."""

    def __iter__(self) -> Iterator[Samples]:
        return self.windows()

    def windows(self) -> Iterator[Samples]:
        """Yield windows (left + length + right,), at the extractor's rate and level.

        Raises
        ------
        TrackError
            While iterating, with a short reason: those of `bench.audio.decode.stream`, and too short.
            Damage or silence may be known only after the last window.

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
        heard = 0
        for block in blocks:
            heard += len(block)
            self.seconds = heard / self.sample_rate
            yield block

    def _normalized(self) -> Iterator[Samples]:
        """Measure the whole clip, then give it again at its new level."""
        kept: list[Samples] = []
        room = round(KEPT_SECONDS * self.sample_rate)

        def keeping() -> Iterator[Samples]:
            nonlocal room
            for block in self._stream():
                room -= len(block)
                if room >= 0:
                    kept.append(block)
                else:
                    kept.clear()
                yield block

        known = statistics(keeping())
        return normalized(kept if room >= 0 else self._stream(), self.normalize, known)
