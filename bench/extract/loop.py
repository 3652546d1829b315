"""The extraction loop: read ahead, run batches, average over time, and write shards regularly."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import devices
from bench.errors import TrackError
from bench.extract.batch_size import batch_size, check_memory
from bench.extract.batches import Batcher, Track
from bench.extract.pooling import Pool
from bench.extract.readers import End, Source, read_ahead
from bench.extract.set_key import open_set
from bench.machine import share
from bench.protocols import Extractor, Pooling
from bench.store import Failure, Vector
from bench.terminal import note

SHARD_TRACKS = 256
SHARD_SECONDS = 30.0
"""A shard is written after this many tracks or seconds; an interrupted run can lose this much work."""


@dataclass
class Outcome:
    """The result of an extraction: tracks done and failed, wall-clock seconds, seconds of audio."""

    done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(row key, reason) of tracks that failed in this run."""
    seconds: float = 0.0
    audio_seconds: float = 0.0


@dataclass
class Extraction:
    """The work of one process: call it with sources to compute their vectors and store them in the extractor's set.

    The network runs once for several poolings, each of which has a set of its own.

    It can be pickled at any time, without a loaded model, so an engine can send it to another process or machine. See
    `bench.protocols.Work`.

    Parameters
    ----------
    also : the same extractor with other poolings, whose sets are filled in the same pass
    batch : windows per batch; None: by the memory of the device, see `batch_size`
    workers : decoding threads; None: one per core, or per core that an engine leaves to this process
    proven : the model is known to work, so a failure is treated as a fault of the track
    progress : called with (tracks done, tracks failed) after each track

    """

    extractor: Extractor
    cache: Path
    device: str = "cpu"
    dtype: str = "float32"
    batch: int | None = None
    workers: int | None = None
    proven: bool = False
    progress: Callable[[int, int], None] | None = None
    log: Callable[[str], None] = print
    at_once: int = 1
    """See `bench.protocols.Work`: decoding threads and the model use all cores."""
    also: Sequence[Extractor] = ()
    size: int = 0
    """Windows per batch in use: set by `load`, and halved each time memory runs out."""
    _made: Extractor | None = None
    """The extractor without its model, once `extractor` has one."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the parts that belong to this process, such as the model."""
        made = self._made or self.extractor
        return {**self.__dict__, "extractor": made, "progress": None, "log": note, "size": 0, "_made": None}

    def into(self, extractors: Sequence[Extractor]) -> None:
        """Fill the sets of these extractors from now on: `extractor` with other poolings; a loaded model stays loaded.

        The first of them replaces `extractor`.
        """
        first, *self.also = extractors
        if self._made is None:
            self.extractor = first
        else:
            self._made, self.extractor = first, self.extractor.pooled(first.pooling)

    def load(self) -> None:
        """Load the model on the device, once, into a copy of the given extractor.

        Raises
        ------
        BenchError
            When a GPU has no memory for one window.

        """
        if self._made is None:
            check_memory(self.extractor, self.device)
            self.size = self.batch or batch_size(self.extractor, self.device)
            loaded = copy.copy(self.extractor)
            loaded.load(self.device, self.dtype)
            self._made, self.extractor = self.extractor, loaded

    def unload(self) -> None:
        """Free the model and the memory of its device."""
        if self._made is not None:
            self.extractor, self._made = self._made, None
            devices.empty_cache(self.device)

    def __call__(self, sources: Sequence[Source]) -> Outcome:
        """Compute and store the vectors of `sources`, which are tracks that are not in the sets yet.

        On any exception, including Ctrl-C, the finished tracks are written before the exception is raised again.
        """
        self.load()
        sets = [open_set(self.cache, one) for one in (self.extractor, *self.also)]
        poolings = [one.pooling for one in (self.extractor, *self.also)]
        shards = {pooling: _Shard(each.append, self.device) for pooling, each in zip(poolings, sets, strict=True)}
        outcome = Outcome()
        proven = self.proven or any(each.has_vectors for each in sets)
        batcher = Batcher(self.extractor, self.device, self.size, self.log, proven=proven, poolings=poolings)
        tracks = [Track(source.row, Pool(first="first" in poolings)) for source in sources]
        one_window = poolings == ["first"]
        started = time.monotonic()

        def finish(changed: Sequence[Track]) -> None:
            for track in changed:
                if track.ended and not track.pending and track.row:
                    self._finish(track, shards, outcome)

        try:
            for at, event in read_ahead(self.extractor, sources, self.workers or share()):
                track = tracks[at]
                if isinstance(event, End):
                    track.ended, track.seconds, track.short = True, event.seconds, event.short
                    if event.error:
                        track.fail(event.error, environment=event.environment)
                    finish([track])
                elif not (one_window and track.windows):
                    finish(batcher.add(track, event))
                for shard in shards.values():
                    shard.write_if_due()
            finish(batcher.flush())
        finally:
            self.size = batcher.size  # the next sources need no less memory
            for shard in shards.values():
                shard.write()
            outcome.seconds = time.monotonic() - started
        return outcome

    def _finish(self, track: Track, shards: Mapping[Pooling, _Shard], outcome: Outcome) -> None:
        """Add the rows, or the failures, of a track whose windows have all been run."""
        failed = [reason for pooling, shard in shards.items() if (reason := self._add(track, pooling, shard))]
        if failed:
            outcome.failed.append((track.row, failed[0]))
        else:
            outcome.done += 1
            outcome.audio_seconds += track.seconds
        track.row = ""  # finished; free the memory of its pool
        track.pool = Pool()
        if self.progress:
            self.progress(outcome.done, len(outcome.failed))

    def _add(self, track: Track, pooling: Pooling, shard: _Shard) -> str | None:
        """Add one row of a track, or its failure, of which the reason is returned."""
        try:
            if track.error:
                raise TrackError(track.error)
            vectors = track.pool.vectors(pooling)
            if not vectors:
                raise TrackError("no window: the clip has only a tail, which is dropped")
            most = float(np.finfo(self.extractor.stored).max)
            for name, vector in vectors.items():
                if (largest := float(np.abs(vector).max())) > most:
                    raise TrackError(f"layer {name!r} reaches {largest:.3g}, too large for {self.extractor.stored}")
            shard.vectors.append(Vector(track.row, track.seconds, vectors, "short" if track.short else "ok"))
        except TrackError as error:
            if not track.environment:  # else a later run, another machine or another package may do better
                shard.failures.append(Failure(track.row, str(error)))
            return str(error)
        return None


class _Shard:
    """Finished rows that are not written yet."""

    def __init__(self, append: Callable[..., None], device: str):
        self.vectors: list[Vector] = []
        self.failures: list[Failure] = []
        self._append, self._device, self._since = append, device, time.monotonic()

    def write_if_due(self) -> None:
        """Write if there are enough rows, or the oldest have waited long enough."""
        waiting = len(self.vectors) + len(self.failures)
        if waiting >= SHARD_TRACKS or (waiting and time.monotonic() - self._since > SHARD_SECONDS):
            self.write()

    def write(self) -> None:
        """Write the rows, if any."""
        spent = time.monotonic() - self._since
        if self.vectors or self.failures:
            tracks = len(self.vectors) + len(self.failures)
            notes = {"device": self._device, "seconds": f"{spent:.6f}", "tracks": str(tracks)}
            self._append(self.vectors, self.failures, notes)
        self.vectors, self.failures, self._since = [], [], time.monotonic()
