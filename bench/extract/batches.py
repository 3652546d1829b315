"""Batches of windows of one exact length, so that nothing is ever padded; smaller ones when memory ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.extract.pooling import Pool, Sums, sums
from bench.protocols import Extractor

DOUBTS = 8
"""Tracks that the model fails on before it took any window, until the plugin is held to be broken."""


@dataclass
class Track:
    """A track on its way through the model."""

    row: str
    pool: Pool = field(default_factory=Pool)
    pending: int = 0
    seconds: float = 0.0
    short: bool = False
    ended: bool = False
    gone: bool = False
    error: str | None = None


class Batcher:
    """Collects windows by length and runs them.

    Parameters
    ----------
    size : windows in a batch; halved for good when memory runs out
    proven : the model has worked before: a window it fails on is that track's fault

    """

    def __init__(
        self, extractor: Extractor, device: str, size: int, log: Callable[[str], None], *, proven: bool = False
    ):
        self.extractor, self.device, self.size, self.log = extractor, device, size, log
        self._buckets: dict[int, list[tuple[Track, NDArray[np.float32]]]] = {}
        self._waiting = 0
        self._proven = proven
        self._doubtful: list[tuple[Track, str]] = []
        self._doubt: Exception | None = None

    def add(self, track: Track, wave: NDArray[np.float32]) -> list[Track]:
        """Queue one window; return the tracks whose windows were run because of it."""
        bucket = self._buckets.setdefault(len(wave), [])
        bucket.append((track, wave))
        track.pending += 1
        self._waiting += 1
        if len(bucket) >= self.size:
            return self._run(len(wave))
        if self._waiting >= 4 * self.size:
            # Many odd lengths (tails): run the fullest bucket rather than hoard audio.
            return self._run(max(self._buckets, key=lambda n: len(self._buckets[n])))
        return []

    def flush(self) -> list[Track]:
        """Run everything that waits.

        Raises
        ------
        BenchError
            When the model failed on every window there was: a broken plugin, not broken tracks.

        """
        touched = [track for length in list(self._buckets) for track in self._run(length)]
        if self._doubtful:
            raise self._broken()
        return touched

    def _run(self, length: int) -> list[Track]:
        windows = self._buckets.pop(length)
        self._waiting -= len(windows)
        at = 0
        while at < len(windows):
            part = windows[at : at + self.size]
            batch = self._attempt(part)
            if batch is None:  # memory ran out and the size was halved: the same windows again
                continue
            for row, (track, _) in enumerate(part):
                track.pending -= 1
                if batch and track.error is None:
                    track.pool.add(batch, row)
            at += len(part)
        return [track for track, _ in windows] + self._cleared()

    def _cleared(self) -> list[Track]:
        """Once a window has passed, the fault of those that did not is their own: their tracks fail."""
        if not self._proven:
            if len({id(track) for track, _ in self._doubtful}) >= DOUBTS:
                raise self._broken()
            return []
        doubtful, self._doubtful, self._doubt = self._doubtful, [], None
        for track, reason in doubtful:
            track.pending -= 1
            track.error = reason
        return [track for track, _ in doubtful]

    def _broken(self) -> BenchError:
        name, error = self.extractor.name, self._doubt
        broken = BenchError(
            f"{name} failed on every window so far ({len(self._doubtful)}): {type(error).__name__}: {error}. "
            f"Try `bench check {name}`."
        )
        broken.__cause__ = error
        return broken

    def _attempt(self, part: list[tuple[Track, NDArray[np.float32]]]) -> Sums | None:
        """Run a part; None asks for a retry at a smaller size, an empty result means it failed."""
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
                self.log(f"memory ran out: going on with batches of {self.size}")
                return None
            part[0][0].error = "out of memory even alone"
            return {}
        except Exception as error:
            return self._one_by_one(part, error)

    def _one_by_one(self, part: list[tuple[Track, NDArray[np.float32]]], error: Exception) -> Sums:
        """Find the windows a model cannot take."""
        if len(part) == 1:
            track, reason = part[0][0], f"the model failed: {type(error).__name__}: {error}"
            if self._proven:
                track.error = reason
            else:  # the track's fault or the plugin's? the next windows tell
                track.pending += 1
                self._doubtful.append((track, reason))
                self._doubt = self._doubt or error
            return {}
        for track, wave in part:
            alone = None
            while alone is None:  # memory may run out here, too
                alone = self._attempt([(track, wave)])
            if alone and track.error is None:
                track.pool.add(alone, 0)
        return {}


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or on the CPU."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
