"""Decoded recordings in one memory-mapped file, from which training draws windows at random.

A recording is decoded once, to mono samples of 16 bits at the sample rate of a model. The file is complete or absent:
decoding writes to ``samples.part``, which a later call continues, and renames it at the end.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.audio.decode import RESAMPLER, probe, stream
from bench.errors import BenchError, TrackError
from bench.files.atomic import digest, refuse_link, sync, whole
from bench.machine import cores

VERSION = 1
"""Part of the keys of caches; raised when the same recordings can give other samples."""
FULL_SCALE = 32_767
"""The sample 1.0 as an integer."""
MOST_SECONDS = 600.0
"""Longer recordings are cut, as in Huang et al. (ICASSP 2020)."""
SYNC = 64
"""Recordings between two writes to disk; a killed process decodes at most these again."""
SAMPLED = 64
"""Most headers that are read to estimate the size."""

Samples = NDArray[np.int16]
Progress = Callable[[int, int], None]
"""Called with the number of recordings that are decoded, and that failed."""


class Recording(NamedTuple):
    """A recording: a key of its content (`bench.audio.row_key`), its file, and the section in seconds."""

    row: str
    path: str
    offset: float | None = None
    duration: float | None = None


@dataclass(frozen=True)
class Pcm:
    """The samples of N recordings, in the order they were given.

    samples : (total,) int16, memory-mapped
    start, length : first sample and number of samples of each recording (N,); length 0: it cannot be decoded
    problems : index -> reason
    """

    samples: Samples
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    problems: dict[int, str]

    def draw(self, which: NDArray[np.int64], length: int, rng: np.random.Generator) -> Samples:
        """Return a window (M, length) of each of the recordings `which` (M,), at a random place.

        A recording that is shorter than the window is followed by zeros.
        """
        room = np.maximum(self.length[which] - length, 0)
        return self._cut(which, rng.integers(0, room + 1), length)

    def spread(self, recording: int, length: int, most: int) -> Samples:
        """Return windows (W, length) of one recording without overlap; more than `most` are thinned out evenly."""
        count = max(1, int(self.length[recording]) // length)
        chosen = np.arange(count)
        if count > most:
            chosen = np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))
        return self._cut(np.full(len(chosen), recording), chosen * length, length)

    def _cut(self, which: NDArray[np.int64], places: NDArray[np.int64], length: int) -> Samples:
        out = np.zeros((len(which), length), np.int16)
        for row, (recording, place) in enumerate(zip(which.tolist(), places.tolist(), strict=True)):
            first = int(self.start[recording]) + place
            count = min(length, int(self.length[recording]) - place)
            out[row, :count] = self.samples[first : first + count]
        return out


def estimated_bytes(recordings: Sequence[Recording], sample_rate: int) -> int:
    """Estimate the size of the cache from the headers of some recordings, spread evenly."""
    seconds = []
    for one in recordings[:: max(1, len(recordings) // SAMPLED)]:
        with suppress(TrackError):
            length = probe(one.path).seconds or MOST_SECONDS
            seconds.append(min(one.duration or max(length - (one.offset or 0.0), 0.0), MOST_SECONDS))
    return round(2 * sample_rate * len(recordings) * float(np.mean(seconds or [0.0])))


def decoded(
    recordings: Sequence[Recording], sample_rate: int, cache: Path, progress: Progress = lambda _done, _failed: None
) -> Pcm:
    """Return the samples of the recordings from the cache, and decode those that are not there.

    Raises
    ------
    BenchError
        When none can be decoded, another process is decoding them, or the cache cannot be written.

    """
    from filelock import FileLock, Timeout

    key = digest([VERSION, sample_rate, RESAMPLER, MOST_SECONDS, [one.row for one in recordings]])
    folder = cache / "pcm" / key[:32]
    folder.mkdir(parents=True, exist_ok=True)
    refuse_link(folder / "lock")
    try:
        with FileLock(folder / "lock", timeout=0):
            if not (folder / "index.json").exists():
                _decode(recordings, sample_rate, folder, progress)
    except Timeout as error:
        raise BenchError(f"another process is decoding the same recordings into {folder}: wait for it.") from error
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    length = np.array(index["length"], np.int64)
    total = int(length.sum())
    if not total:
        why = next(iter(index["problems"].values()), "there are none")
        raise BenchError(f"none of {len(recordings)} recordings can be decoded: {why}.")
    if os.path.getsize(folder / "samples.s16") != 2 * total:
        raise BenchError(f"{folder} is damaged: remove this folder, and the recordings are decoded again.")
    failed = len(index["problems"])
    progress(len(length) - failed, failed)
    samples: Samples = np.memmap(folder / "samples.s16", np.dtype("<i2"), "r", shape=(total,))
    return Pcm(samples, np.cumsum(length) - length, length, {int(at): why for at, why in index["problems"].items()})


def _decode(recordings: Sequence[Recording], sample_rate: int, folder: Path, progress: Progress) -> None:
    """Write samples.s16 and index.json; what an earlier call has written of them is kept."""
    part, journal = folder / "samples.part", folder / "journal.jsonl"
    done = _resumed(part, journal)
    failed = sum(why is not None for _, why in done)
    with open(part, "ab") as data, open(journal, "a", encoding="utf-8", newline="\n") as notes:
        lines: list[str] = []
        for samples, why in _read_ahead(recordings[len(done) :], sample_rate):
            data.write(samples.astype("<i2", copy=False).data)
            done.append((len(samples), why))
            failed += why is not None
            lines.append(json.dumps(done[-1]) + "\n")
            if len(lines) == SYNC or len(done) == len(recordings):
                _flush(data)  # before the journal, which must never promise samples that are not there
                notes.writelines(lines)
                notes.flush()
                lines.clear()
            progress(len(done) - failed, failed)
    sync(part)
    os.replace(part, folder / "samples.s16")
    problems = {at: why for at, (_, why) in enumerate(done) if why is not None}
    with whole(folder / "index.json") as temporary:
        temporary.write_text(json.dumps({"length": [n for n, _ in done], "problems": problems}), encoding="utf-8")
    journal.unlink()


def _resumed(part: Path, journal: Path) -> list[tuple[int, str | None]]:
    """Return what the journal promises (samples, problem) and cut the file of samples to it; both may be absent."""
    done: list[tuple[int, str | None]] = []
    kept = 0
    for path in (part, journal):
        refuse_link(path)
    samples = part if part.exists() else part.with_name("samples.s16")  # killed before index.json was written
    there = os.path.getsize(samples) if samples.exists() else 0
    for line in journal.read_text(encoding="utf-8").splitlines(keepends=True) if journal.exists() else ():
        try:
            length, why = json.loads(line)
        except ValueError:  # the last line of a killed process
            break
        if not line.endswith("\n") or 2 * (kept + length) > there:
            break
        kept += length
        done.append((length, why))
    if samples.exists():
        os.replace(samples, part)
        os.truncate(part, 2 * kept)
    with whole(journal) as temporary:
        temporary.write_text("".join(json.dumps(each) + "\n" for each in done), encoding="utf-8", newline="\n")
    return done


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _read_ahead(recordings: Iterable[Recording], sample_rate: int) -> Iterator[tuple[Samples, str | None]]:
    """Yield samples, or no samples and the reason, of each recording in order; threads decode some in advance."""
    pending: deque[Future[tuple[Samples, str | None]]] = deque()
    work = iter(recordings)
    with ThreadPoolExecutor(cores()) as pool:
        try:
            while True:
                for one in islice(work, 2 * cores() - len(pending)):
                    pending.append(pool.submit(_one, one, sample_rate))
                if not pending:
                    return
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _one(recording: Recording, sample_rate: int) -> tuple[Samples, str | None]:
    blocks = stream(
        recording.path,
        sample_rate=sample_rate,
        offset=recording.offset,
        duration=recording.duration,
        limit=MOST_SECONDS,
    )
    try:
        heard = np.concatenate(list(blocks))
    except TrackError as error:
        return np.empty(0, np.int16), str(error)
    return np.clip(np.rint(heard * FULL_SCALE), -FULL_SCALE, FULL_SCALE).astype(np.int16), None
