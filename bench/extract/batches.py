"""Batches of windows of equal length, which need no padding; the batch size is reduced if memory runs out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench import devices
from bench.errors import BenchError, of_environment
from bench.extract.pooling import Pool, Sums, start_sums
from bench.protocols import Extractor, Pooling

Fetch = Callable[[], Sums]
"""Waits for the sums of a batch."""
MAX_FIRST_FAILURES = 8
"""If the model fails on this many tracks before it accepts a window, the plugin is treated as broken."""


@dataclass
class Track:
    """The progress of one track.

    windows : how many have been queued so far
    pending : windows that are queued, or failed without a decision yet
    seconds, short : length of the audio, and whether it is shorter than one window, once the track has `ended`
    environment : the error is one of this machine, not of the recording; it is never stored
    """

    row: str
    pool: Pool = field(default_factory=Pool)
    windows: int = 0
    pending: int = 0
    seconds: float = 0.0
    short: bool = False
    ended: bool = False
    environment: bool = False
    error: str | None = None

    def fail(self, reason: str, *, environment: bool) -> None:
        """Set the error, unless there is one already."""
        if self.error is None:
            self.error, self.environment = reason, environment


Window = tuple[Track, NDArray[np.float32], bool]
"""A track, one of its windows (T,), and whether that is its first."""


class Batcher:
    """Group windows by length into batches, and run the batches.

    Parameters
    ----------
    size : windows per batch; permanently halved each time memory runs out
    proven : the model is known to work, so a failure is treated as a fault of the track
    poolings : those to compute at once; by default the extractor's

    """

    def __init__(
        self,
        extractor: Extractor,
        device: str,
        size: int,
        log: Callable[[str], None],
        *,
        proven: bool = False,
        poolings: Sequence[Pooling] = (),
    ):
        from bench.extract.transfer import Transfer

        self.extractor, self.device, self.size, self.log = extractor, device, size, log
        self._poolings = poolings
        self._buckets: dict[int, list[Window]] = {}
        self._waiting = 0
        self._transfer = Transfer(device)
        self._running: tuple[list[Window], Fetch] | None = None
        self._changed: list[Track] = []
        self._proven = proven
        self._undecided: list[tuple[Track, str, bool]] = []
        self._first_error: Exception | None = None

    def add(self, track: Track, wave: NDArray[np.float32]) -> list[Track]:
        """Queue one window; return the tracks of which windows were run meanwhile."""
        bucket = self._buckets.setdefault(len(wave), [])
        bucket.append((track, wave, track.windows == 0))
        track.windows += 1
        track.pending += 1
        self._waiting += 1
        if len(bucket) >= self.size:
            self._run(len(wave))
        elif self._waiting >= 4 * self.size:
            # Many different lengths (tails): run the largest bucket, to limit the audio in memory.
            self._run(max(self._buckets, key=lambda n: len(self._buckets[n])))
        return self._take_changed()

    def flush(self) -> list[Track]:
        """Run all queued windows; return the tracks of which windows were run meanwhile.

        Raises
        ------
        BenchError
            If the model has failed on every window, because then the plugin is broken.

        """
        for length in list(self._buckets):
            self._run(length)
        self._collect()
        self._decide_failures()
        if self._undecided:
            raise self._broken()
        return self._take_changed()

    def _run(self, length: int) -> None:
        """Run the windows of one length."""
        windows = self._buckets.pop(length)
        self._waiting -= len(windows)
        while windows:
            part = windows[: self.size]
            started = self._start(part)
            self._collect()
            if started is None:  # memory ran out and the size was halved: try the same windows again
                continue
            windows = windows[len(part) :]
            if started:
                self._running = (part, started)
                if not self._transfer.queued:
                    self._collect()
        self._decide_failures()

    def _collect(self) -> None:
        """Wait for the batch that is running, if any.

        A GPU computes while the host prepares the next batch, so a batch is fetched after the next one has started.
        """
        if self._running is None:
            return
        (part, fetch), self._running = self._running, None
        try:
            batch = fetch()
        except Exception as error:
            if devices.lost(error):
                raise self._lost(error) from error
            raise
        self._proven = True
        for row, (track, _, first) in enumerate(part):
            if track.error is None:
                track.pool.add(batch, row, first=first)
            self._settle(track)

    def _settle(self, track: Track) -> None:
        """Count one window of a track as run or failed."""
        track.pending -= 1
        self._changed.append(track)

    def _take_changed(self) -> list[Track]:
        changed, self._changed = self._changed, []
        return changed

    def _decide_failures(self) -> None:
        """If the model has accepted a window, let the tracks of undecided failures fail."""
        if not self._proven:
            if len({id(track) for track, _, _ in self._undecided}) >= MAX_FIRST_FAILURES:
                raise self._broken()
            return
        failures, self._undecided, self._first_error = self._undecided, [], None
        for track, reason, environment in failures:
            track.fail(reason, environment=environment)
            self._settle(track)

    def _broken(self) -> BenchError:
        name, error = self.extractor.name, self._first_error
        broken = BenchError(
            f"{name} failed on every window so far ({len(self._undecided)}): {type(error).__name__}: {error}. "
            f"Try `bench check {name}`."
        )
        broken.__cause__ = error
        return broken

    def _start(self, part: list[Window]) -> Fetch | Literal[False] | None:
        """Start some windows; return None to retry with a smaller size, or False if the windows have failed."""
        try:
            return self._launch([wave for _, wave, _ in part])
        except BenchError:
            raise
        except Exception as error:
            _forget_locals(error)
            if devices.lost(error):
                raise self._lost(error) from error
            if not devices.out_of_memory(error):
                self._one_by_one(part, error)
                return False
            try:
                devices.empty_cache(self.device)
            except RuntimeError as failed:  # it was not the memory: nothing works any more
                raise self._lost(failed) from error
        if self.size > 1:
            self.size = max(1, min(self.size, len(part)) // 2)
            self.log(f"memory ran out: continuing with batches of {self.size}")
            return None
        track = part[0][0]
        track.fail("out of memory with a batch of one window", environment=True)
        self._settle(track)
        return False

    def _launch(self, waves: list[NDArray[np.float32]]) -> Fetch:
        """Start the model on some windows."""
        import torch

        with torch.inference_mode():
            return start_sums(self.extractor, self._transfer.up(waves), self._transfer, self._poolings)

    def _one_by_one(self, part: list[Window], error: Exception) -> None:
        """Run the windows one by one, to find those on which the model fails."""
        if len(part) == 1:
            track, reason = part[0][0], f"the model failed: {type(error).__name__}: {error}"
            environment = of_environment(error) or devices.of_library(error)
            if self._proven:
                track.fail(reason, environment=environment)
                self._settle(track)
            else:  # the later windows show whether the track or the plugin is at fault
                self._undecided.append((track, reason, environment))
                self._first_error = self._first_error or error
            return
        self._collect()
        for window in part:
            started: Fetch | Literal[False] | None = None
            while started is None:  # memory may run out here, too
                started = self._start([window])
            if started:
                self._running = ([window], started)
                self._collect()

    def _lost(self, error: Exception) -> BenchError:
        return BenchError(
            f"{self.device} failed while {self.extractor.name} ran, and this process cannot use it any more: "
            f"{type(error).__name__}: {str(error).splitlines()[0]}. Finished tracks are stored, and no track is "
            "recorded as failed: start the command again, which continues from there."
        )


def _forget_locals(error: BaseException | None) -> None:
    """Free the tensors to which the frames of an error refer; its traceback can still be printed."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
