"""The second, unchanged ``bench run``: seconds as a ratio to the first one, and to bare start-up.

Files of less than half a second stand for tracks, so that the first run takes minutes instead of days; what
the second one does (look at every file, read the split, find every vector and record) does not depend on
how long the music is. Start-up is a Python that imports numpy, polars and pyarrow and does nothing.

    python benchmarks/second_run.py                     # 56,193 items, 17,053 users, 14 million plays
    python benchmarks/second_run.py --items 5000 --users 2000 --plays 500000
    python benchmarks/second_run.py --folder there      # keep files and store; later calls measure at once
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import logs
import numpy as np
import soundfile
from machine import machine

RATE, SECONDS = 8_000, 0.4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=56_193)
    parser.add_argument("--users", type=int, default=17_053)
    parser.add_argument("--plays", type=int, default=14_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        if not (folder / "plays.tsv").exists():
            prepare(folder, arguments)
        words = [sys.executable, "-m", "bench", "run", "--extractor", "mfcc", "--model", "knn", "--device", "cpu"]
        words += ["--listens", str(folder / "plays.tsv"), "--audio", str(folder / "audio")]
        words += ["--columns", ",".join(f"{role}={name}" for role, name in logs.COLUMNS.items())]
        words += ["--split", "global_temporal:" + ",".join(f"{k}={v}" for k, v in logs.SPLIT.items())]
        words += ["--cache", str(folder / "cache"), "--results", str(folder / "results")]
        first = timed(words)
        print(f"first run   {first}   (with --folder: whatever was still to do)")
        again = min(timed(words) for _ in range(arguments.rounds))
        bare = min(timed([sys.executable, "-c", "import numpy, polars, pyarrow.parquet"]) for _ in range(3))
        print(f"second run  {again}\nstart-up    {bare}")
        print(f"CPU: 1/{first.cpu / again.cpu:.0f} of the first run, {again.cpu / bare.cpu:.1f} x bare start-up")


def prepare(folder: Path, arguments: argparse.Namespace) -> None:
    """Write the log, and one file of noise for each of its items."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    log = logs.make(arguments.users, arguments.items, arguments.plays, early=0.0)
    rng = np.random.default_rng(0)
    for name in log["track_id"].unique().sort().to_list():
        wave = rng.standard_normal(round(RATE * SECONDS), np.float32) * np.float32(0.1)
        soundfile.write(folder / "audio" / f"{name}.wav", wave, RATE, subtype="PCM_16")
    logs.write(log, folder)["parquet"].unlink()


class Cost(NamedTuple):
    """CPU and wall seconds, GiB."""

    cpu: float
    wall: float
    peak: float

    def __str__(self) -> str:
        return f"{self.cpu:8.2f} CPU s {self.wall:8.2f} s wall {self.peak:6.2f} GiB"


def timed(words: list[str]) -> Cost:
    """Run a child process; show what it said if it fails."""
    with tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        process = subprocess.Popen(words, stdout=said, stderr=said, env={**os.environ, "OMP_NUM_THREADS": "1"})
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(said.read())
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 2**20)


if __name__ == "__main__":
    main()
