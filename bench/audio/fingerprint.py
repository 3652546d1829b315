"""Acoustic fingerprints: words of 32 bits that stay nearly the same when a recording is encoded in another way.

Source: Haitsma and Kalker, A highly robust audio fingerprinting system (ISMIR 2002): a bit is the sign of the change
over time of the difference of two neighbouring bands. Frames are farther apart here, because two files are compared
as wholes and not found by three seconds of one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.audio.decode import stream
from bench.audio.pcm_cache import Recording
from bench.errors import BenchError, TrackError
from bench.machine import cores

VERSION = 1
"""Part of the cache's file name; raised when the same recording can give another fingerprint."""
RATE = 5_000
"""Samples a second."""
FRAME, HOP = 2_048, 512
"""Samples of a frame (.41 s), and between frames (.10 s)."""
LOW, HIGH, BANDS = 300.0, 2_000.0, 33
"""Limits in Hz of the bands, each about a semitone wide, and their number: a bit compares two neighbours."""
MOST_SECONDS = 60.0
"""Longer recordings are compared by their first minute."""
STEADY = 1e-3
"""A frame whose bands change by less than this share of their energy has no word: noise alone would decide its bits."""
BATCH = 256
"""Recordings between two writes to the cache; a killed process hears at most these again."""

Words = NDArray[np.uint32]


def words(samples: NDArray[np.float32]) -> Words:
    """Return the fingerprint (F,) of samples at `RATE`, a word each .1 s; 0 where nothing changes."""
    if len(samples) < FRAME + HOP:
        return np.empty(0, np.uint32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32), axis=1)) ** 2
    edges = np.round(np.geomspace(LOW, HIGH, BANDS + 1) * FRAME / RATE).astype(int)
    energy = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    change = np.diff(energy[:, :-1] - energy[:, 1:], axis=0)
    known = np.abs(change).sum(axis=1) > STEADY * energy[1:].sum(axis=1)
    bits = np.packbits(change > 0, axis=1, bitorder="little").view("<u4")[:, 0]
    return np.where(known, bits, np.uint32(0)).astype(np.uint32)


def fingerprints(recordings: Sequence[Recording], cache: Path, log: Callable[[str], None]) -> list[Words]:
    """Return the fingerprint of each recording, empty where it cannot be decoded; the cache keeps those of all.

    Raises
    ------
    BenchError
        When the cache cannot be written.

    """
    path = cache / f"fingerprints-{VERSION}.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, bytes] = {}
    try:
        with closing(sqlite3.connect(path, timeout=60)) as store:
            store.execute("CREATE TABLE IF NOT EXISTS fingerprints (row TEXT PRIMARY KEY, words BLOB) WITHOUT ROWID")
            wanted = {one.row: one for one in recordings}
            for at in range(0, len(wanted), BATCH):
                keys = list(wanted)[at : at + BATCH]
                marks = ",".join("?" * len(keys))
                known |= store.execute(f"SELECT row, words FROM fingerprints WHERE row IN ({marks})", keys)
            new = [one for row, one in wanted.items() if row not in known]
            if len(new) > BATCH:
                log(f"hears the first minute of {len(new):,} recordings once, to find the same recording in two files")
            with ThreadPoolExecutor(cores()) as pool:
                for at in range(0, len(new), BATCH):
                    part = new[at : at + BATCH]
                    found = {one.row: made.tobytes() for one, made in zip(part, pool.map(_heard, part), strict=True)}
                    with store:
                        # What cannot be decoded is tried again: a decoder may be installed later.
                        kept = [(row, made) for row, made in found.items() if made]
                        store.executemany("INSERT OR REPLACE INTO fingerprints VALUES (?, ?)", kept)
                    known |= found
    except sqlite3.Error as error:
        raise BenchError(
            f"{path} cannot be used ({error}): remove it, or choose another folder with --cache."
        ) from error
    return [np.frombuffer(known[one.row], "<u4").astype(np.uint32) for one in recordings]


def _heard(recording: Recording) -> Words:
    blocks = stream(
        recording.path,
        sample_rate=RATE,
        offset=recording.offset,
        duration=recording.duration,
        limit=MOST_SECONDS,
    )
    try:
        return words(np.concatenate(list(blocks)))
    except TrackError:
        return np.empty(0, np.uint32)
