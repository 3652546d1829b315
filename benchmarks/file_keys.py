"""Keys of audio files that are new, unchanged or missing: microseconds of processor time a file, beside bare calls.

The baselines are `os.stat` of a name that does not exist, and open + read + sha256 of each file, in one thread of the
same process, in turn. Files are tiny, so that what is measured is the work around them. The keys are those of
``Audio.of``: hashes of files, index included, and of catalogue rows.

    python benchmarks/file_keys.py
    python benchmarks/file_keys.py --files 1000000 --rounds 1 --what missing    # memory of a million
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measured_process
import polars as pl
from machine import machine

from bench.audio.catalog import SCHEMA
from bench.run.extraction_task import Audio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--what", nargs="+", default=["missing", "new", "unchanged"])
    arguments = parser.parse_args()
    print(machine())
    found = measure(arguments.files, arguments.rounds, arguments.what)
    for what, (ours, bare) in found.items():
        print(f"{what:10} {ours:6.2f} us a file, bare {bare:6.2f} us, ratio {ours / bare:.2f}")
    print(f"peak memory {measured_process.peak():.2f} GiB for {arguments.files:,} files")


def measure(files: int, rounds: int, kinds: list[str]) -> dict[str, tuple[float, float]]:
    """Return what -> microseconds a file here and of the bare calls, the least of all rounds."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = [f"{scratch}/audio/{at // 5_000}/track-{at:07d}.wav" for at in range(files)]
        if kinds != ["missing"]:
            make(paths)
        absent = [f"{path}.gone" for path in paths]
        best: dict[str, tuple[float, float]] = {}
        for turn in range(rounds):
            index = Path(scratch) / f"cache{turn}"
            for what in kinds:
                names = absent if what == "missing" else paths
                bare = spent(lambda names=names: by_hand(names)) / files * 1e6
                ours = spent(lambda names=names, index=index: keys(names, index)) / files * 1e6
                known = best.get(what, (ours, bare))
                best[what] = min(ours, known[0]), min(bare, known[1])
        return best


def make(paths: list[str]) -> None:
    for at, path in enumerate(paths):
        if at % 5_000 == 0:
            os.makedirs(os.path.dirname(path))
        with open(path, "wb") as file:
            file.write(b"sound %d" % at)
        os.utime(path, (1e9, 1e9))


def keys(paths: list[str], cache: Path) -> pl.DataFrame:
    columns = {"track_id": paths, "path": paths, "offset": [None] * len(paths), "duration": [None] * len(paths)}
    return Audio.of(pl.DataFrame(columns, schema=SCHEMA), cache).rows


def by_hand(paths: list[str]) -> None:
    for path in paths:
        try:
            os.stat(path) if path.endswith(".gone") else digest(path)
        except OSError:
            continue


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def spent(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
