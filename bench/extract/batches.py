"""Batches of windows of equal length, which need no padding; the batch size is reduced if memory runs out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.devices import out_of_memory
from bench.errors import BenchError, of_environment
from bench.extract.pooling import Pool, Sums, sums
from bench.protocols import Extractor

MAX_FIRST_FAILURES = 8
"""If the model fails on this many tracks before it accepts a window, the plugin is treated as broken."""


@dataclass
class Track:
    """The progress of one track.

    pending : windows that are queued, or failed without a decision yet
    seconds, short : length of the audio, and whether it is shorter than one window, once the track has `ended`
    environment : the error is one of this machine, not of the recording; it is never stored
    """

    row: str
    pool: Pool = field(default_factory=Pool)
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


class Batcher:
    """Group windows by length into batches, and run the batches.

    Parameters
    ----------
    size : windows per batch; permanently halved each time memory runs out
    proven : the model is known to work, so a failure is treated as a fault of the track

    """

    def __init__(
        self, extractor: Extractor, device: str, size: int, log: Callable[[str], None], *, proven: bool = False
    ):
        self.extractor, self.device, self.size, self.log = extractor, device, size, log
        self._buckets: dict[int, list[tuple[Track, NDArray[np.float32]]]] = {}
        self._waiting = 0
        self._proven = proven
        self._undecided: list[tuple[Track, str, bool]] = []
        self._first_error: Exception | None = None

    def add(self, track: Track, wave: NDArray[np.float32]) -> list[Track]:
        """Queue one window; if this runs a batch, return its tracks."""
        bucket = self._buckets.setdefault(len(wave), [])
        bucket.append((track, wave))
        track.pending += 1
        self._waiting += 1
        if len(bucket) >= self.size:
            return self._run(len(wave))
        if self._waiting >= 4 * self.size:
            # Many different lengths (tails): run the largest bucket, to limit the audio in memory.
            return self._run(max(self._buckets, key=lambda n: len(self._buckets[n])))
        return []

    def flush(self) -> list[Track]:
        """Run all queued windows; return their tracks.

        Raises
        ------
        BenchError
            If the model has failed on every window, because then the plugin is broken.

        """
        tracks = [track for length in list(self._buckets) for track in self._run(length)]
        if self._undecided:
            raise self._broken()
        return tracks

    def _run(self, length: int) -> list[Track]:
        windows = self._buckets.pop(length)
        self._waiting -= len(windows)
        at = 0
        while at < len(windows):
            part = windows[at : at + self.size]
            batch = self._attempt(part)
            if batch is None:  # memory ran out and the size was halved: try the same windows again
                continue
            for row, (track, _) in enumerate(part):
                track.pending -= 1
                if batch and track.error is None:
                    track.pool.add(batch, row)
            at += len(part)
        return [track for track, _ in windows] + self._decide_failures()

    def _decide_failures(self) -> list[Track]:
        """If the model has accepted a window, let the tracks of undecided failures fail, and return them."""
        if not self._proven:
            if len({id(track) for track, _, _ in self._undecided}) >= MAX_FIRST_FAILURES:
                raise self._broken()
            return []
        failures, self._undecided, self._first_error = self._undecided, [], None
        for track, reason, environment in failures:
            track.pending -= 1
            track.fail(reason, environment=environment)
        return [track for track, _, _ in failures]

    def _broken(self) -> BenchError:
        name, error = self.extractor.name, self._first_error
        broken = BenchError(
            f"{name} failed on every window so far ({len(self._undecided)}): {type(error).__name__}: {error}. "
            f"Try `bench check {name}`."
        )
        broken.__cause__ = error
        return broken

    def _attempt(self, part: list[tuple[Track, NDArray[np.float32]]]) -> Sums | None:
        """Run some windows; return None to retry with a smaller size, or an empty dict if the windows failed."""
        import torch

        try:
            with torch.inference_mode():
                waves = torch.from_numpy(np.stack([wave for _, wave in part])).to(self.device)
                batch = sums(self.extractor, waves)
            self._proven = True
            return batch
        except BenchError:
            raise
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                return self._one_by_one(part, error)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if self.size > 1:
                self.size = max(1, min(self.size, len(part)) // 2)
                self.log(f"memory ran out: continuing with batches of {self.size}")
                return None
            part[0][0].fail("out of memory with a batch of one window", environment=True)
            return {}
        except Exception as error:
            return self._one_by_one(part, error)

    def _one_by_one(self, part: list[tuple[Track, NDArray[np.float32]]], error: Exception) -> Sums:
        """Run the windows one by one, to find those on which the model fails."""
        if len(part) == 1:
            track, reason = part[0][0], f"the model failed: {type(error).__name__}: {error}"
            environment = of_environment(error) or _device_failed(error)
            if self._proven:
                track.fail(reason, environment=environment)
            else:  # the later windows show whether the track or the plugin is at fault
                track.pending += 1
                self._undecided.append((track, reason, environment))
                self._first_error = self._first_error or error
            return {}
        for track, wave in part:
            batch = None
            while batch is None:  # memory may run out here, too
                batch = self._attempt([(track, wave)])
            if batch and track.error is None:
                track.pool.add(batch, 0)
        return {}


def _device_failed(error: Exception) -> bool:
    """Whether a GPU, its driver or its libraries failed."""
    text = str(error)
    return isinstance(error, RuntimeError) and re.search(r"\b(CUDA|CUDNN|cuDNN|CUBLAS|HIP|MPS)\b", text) is not None
