"""Threads that decode audio in advance of the model, with limited memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.audio import TrackReader
from bench.errors import TrackError, of_environment
from bench.protocols import Extractor

AHEAD = 64 * 2**20
"""Approximate maximum of decoded audio in the queue, in bytes."""


@dataclass(frozen=True)
class Source:
    """One recording to embed: its key in the store, its file, and the section in seconds."""

    row: str
    path: str
    offset: float | None = None
    duration: float | None = None


@dataclass(frozen=True)
class End:
    """The end of a track: seconds of audio and whether it is short, or the reason of its failure."""

    seconds: float = 0.0
    short: bool = False
    error: str | None = None
    environment: bool = False
    """Whether the failure is one of this machine (file gone, decoder not installed), not of the recording."""


def read_ahead(
    extractor: Extractor, sources: Sequence[Source], workers: int
) -> Iterator[tuple[int, NDArray[np.float32] | End]]:
    """Yield (index into `sources`, window) as decoded by `workers` threads, and (index, End) at the end of each track.

    The windows of different tracks are interleaved; those of one track are in order.
    """
    window = extractor.window
    typical = 4 * ((window.length or 30 * extractor.sample_rate) + window.left + window.right)
    events: queue.Queue[tuple[int, NDArray[np.float32] | End] | BaseException] = queue.Queue(max(4, AHEAD // typical))
    work = iter(range(len(sources)))
    lock, stop = threading.Lock(), threading.Event()

    def put(event: tuple[int, NDArray[np.float32] | End] | BaseException) -> None:
        while not stop.is_set():
            try:
                return events.put(event, timeout=0.2)
            except queue.Full:
                continue
        raise _Stopped

    def one(at: int) -> None:
        source = sources[at]
        reader = TrackReader(
            source.path,
            offset=source.offset,
            duration=source.duration,
            sample_rate=extractor.sample_rate,
            window=window,
            clip=extractor.clip,
            normalize=extractor.normalize,
        )
        try:
            for wave in reader.windows():
                put((at, wave))
        except TrackError as error:
            put((at, End(error=str(error), environment=of_environment(error))))
        except _Stopped:
            raise
        except Exception as error:  # a decoder may raise anything; one bad file must not stop the run
            reason = f"decoding failed: {type(error).__name__}: {error}"
            put((at, End(error=reason, environment=of_environment(error))))
        else:
            put((at, End(seconds=reader.seconds, short=reader.short)))

    def serve() -> None:
        try:
            while not stop.is_set():
                with lock:
                    at = next(work, None)
                if at is None:
                    return
                one(at)
        except _Stopped:
            return
        except BaseException as error:
            events.put(error)

    threads = [threading.Thread(target=serve, daemon=True, name=f"decode-{i}") for i in range(workers)]
    for thread in threads:
        thread.start()
    try:
        left = len(sources)
        while left:
            event = events.get()
            if isinstance(event, BaseException):
                raise event
            left -= isinstance(event[1], End)
            yield event
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class _Stopped(Exception):  # noqa: N818 - a signal, not an error
    """The consumer of the windows has stopped."""
