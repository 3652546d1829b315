"""Filling a set: read ahead, batch, average, and write shards often enough to lose little."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import TrackError
from bench.extract.batches import Batcher, Track
from bench.extract.readers import End, Source, read_ahead
from bench.extract.sets import open_set
from bench.machine import cores
from bench.protocols import Extractor
from bench.store import Failure, Vector

SHARD_TRACKS = 256
SHARD_SECONDS = 30.0
"""A shard is written after this many tracks or seconds: what a killed run can lose."""


@dataclass
class Outcome:
    """What a run of the loop did."""

    done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(row key, reason) of tracks that failed in this run."""
    seconds: float = 0.0
    audio_seconds: float = 0.0


@dataclass
class Extraction:
    """One worker's work: call it with sources, it fills the extractor's set and returns the outcome.

    It can be pickled at any time, so that an engine may send it to another process or machine; a loaded model
    stays behind. See `bench.protocols.Work`.

    Parameters
    ----------
    batch : windows in a batch
    workers : decoding threads; None: one a core
    proven : the model is known to work, so that a window it fails on is that track's fault
    progress : called with (tracks done, tracks failed) after each track

    """

    extractor: Extractor
    cache: Path
    device: str = "cpu"
    dtype: str = "float32"
    batch: int = 16
    workers: int | None = None
    proven: bool = False
    progress: Callable[[int, int], None] | None = None
    log: Callable[[str], None] = print
    _made: Extractor | None = None
    """The extractor without its model, once `extractor` has one."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what belongs to this process."""
        made = self._made or self.extractor
        return {**self.__dict__, "extractor": made, "progress": None, "log": _to_stderr, "_made": None}

    def load(self) -> None:
        """Bring the model to the device, once; the extractor that was given stays without one."""
        if self._made is None:
            loaded = copy.copy(self.extractor)
            loaded.load(self.device, self.dtype)
            self._made, self.extractor = self.extractor, loaded

    def unload(self) -> None:
        """Let the model go, and the memory of its device."""
        if self._made is not None:
            import torch

            self.extractor, self._made = self._made, None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def __call__(self, sources: Sequence[Source]) -> Outcome:
        """Compute `sources` (tracks not yet in the set) and store them.

        On any exception, Ctrl-C included, what was finished is written before it goes on up.
        """
        self.load()
        filled = open_set(self.cache, self.extractor)
        shard = _Shard(filled.append, self.device)
        outcome = Outcome()
        proven = self.proven or filled.begun
        batcher = Batcher(self.extractor, self.device, self.batch, self.log, proven=proven)
        tracks = [Track(source.row) for source in sources]
        started = time.monotonic()

        def settle(touched: Sequence[Track]) -> None:
            for track in touched:
                if track.ended and not track.pending and track.row:
                    self._finish(track, shard, outcome)

        try:
            for at, event in read_ahead(self.extractor, sources, self.workers or cores()):
                track = tracks[at]
                if isinstance(event, End):
                    track.ended, track.seconds, track.short = True, event.seconds, event.short
                    track.gone = event.gone
                    track.error = track.error or event.error
                    settle([track])
                else:
                    settle(batcher.add(track, event))
                shard.write_if_due()
            settle(batcher.flush())
        finally:
            shard.write()
            outcome.seconds = time.monotonic() - started
        return outcome

    def _finish(self, track: Track, shard: _Shard, outcome: Outcome) -> None:
        """Turn a track whose windows are all in into a row, or a failure."""
        try:
            if track.error:
                raise TrackError(track.error)
            vectors = track.pool.vectors()
            if not vectors:
                raise TrackError("no window fits: every one was dropped as a tail")
            most = float(np.finfo(self.extractor.stored).max)
            for name, vector in vectors.items():
                if (largest := float(np.abs(vector).max())) > most:
                    raise TrackError(f"layer {name!r} reaches {largest:.3g}, too large for {self.extractor.stored}")
            shard.vectors.append(Vector(track.row, track.seconds, vectors, "short" if track.short else "ok"))
            outcome.done += 1
            outcome.audio_seconds += track.seconds
        except TrackError as error:
            if not track.gone:  # a later run may find the file again
                shard.failures.append(Failure(track.row, str(error)))
            outcome.failed.append((track.row, str(error)))
        track.row = ""  # settled: its pool may go
        track.pool = type(track.pool)()
        if self.progress:
            self.progress(outcome.done, len(outcome.failed))


class _Shard:
    """Finished rows on their way to disk."""

    def __init__(self, append: Callable[..., None], device: str):
        self.vectors: list[Vector] = []
        self.failures: list[Failure] = []
        self._append, self._device, self._since = append, device, time.monotonic()

    def write_if_due(self) -> None:
        """Write when enough has come together."""
        waiting = len(self.vectors) + len(self.failures)
        if waiting >= SHARD_TRACKS or (waiting and time.monotonic() - self._since > SHARD_SECONDS):
            self.write()

    def write(self) -> None:
        """Write what is there."""
        spent = time.monotonic() - self._since
        if self.vectors or self.failures:
            tracks = len(self.vectors) + len(self.failures)
            notes = {"device": self._device, "seconds": f"{spent:.6f}", "tracks": str(tracks)}
            self._append(self.vectors, self.failures, notes)
        self.vectors, self.failures, self._since = [], [], time.monotonic()


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
