"""The second, unchanged ``bench run``: seconds as a ratio to the first one, and to bare start-up.

Files of less than half a second stand for tracks, so that the first run takes minutes instead of days; what
the second one does (look at every file, read the split, find every vector and record) does not depend on
how long the music is. Start-up is a Python that imports numpy, polars and pyarrow and does nothing.

    python benchmarks/second_run.py                     # 56,193 items, 17,053 users, 14 million plays
    python benchmarks/second_run.py --items 5000 --users 2000 --plays 500000
    python benchmarks/second_run.py --folder there      # keep files and store; later calls measure at once

With ``--seeds`` it measures what each unchanged cell costs instead. On the demo, three extractors with popularity,
knn, ease, itemknn and their controls make 6 + 5 x seeds cells, and probes of genres 7 x seeds. CPU ms a cell is the
slope from one number of seeds to the next. The baseline looks at the same two files of each cell (stat) and parses
its record (json.loads).

    python benchmarks/second_run.py --seeds 2,10,42,172      # 16, 56, 216 and 866 cells
    python benchmarks/second_run.py --seeds 2,8,31 --verb probe
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import logs
import numpy as np
import soundfile
from machine import machine

from bench.records import rows_path

RATE, SECONDS = 8_000, 0.4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=56_193)
    parser.add_argument("--users", type=int, default=17_053)
    parser.add_argument("--plays", type=int, default=14_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seeds", help="numbers of seeds, ascending: measure the cost of unchanged cells")
    parser.add_argument("--verb", choices=("run", "probe"), default="run", help="the command, with --seeds")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        if arguments.seeds:
            seeds = [int(number) for number in arguments.seeds.split(",")]
            print(*unchanged(arguments.verb, folder, seeds, arguments.rounds), sep="\n")
            return
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


class Unchanged(NamedTuple):
    """A number of unchanged cells; CPU s of the command; CPU ms that each further cell and the baseline take."""

    cells: int
    cpu: float
    each: float
    baseline: float

    def __str__(self) -> str:
        slope = f"{self.each:6.2f} ms a cell, {self.each / self.baseline:5.1f} x json.loads + stat"
        return f"{self.cells:6,} cells {self.cpu:7.2f} CPU s {slope} ({self.baseline:.3f} ms)"


def unchanged(verb: str, folder: Path, seeds: Sequence[int], rounds: int = 3) -> list[Unchanged]:
    """Measure ``bench run`` or ``bench probe`` with nothing to do, after a first one with the most seeds."""
    results = folder / f"{verb}-results"
    words = [sys.executable, "-m", "bench", verb, "--extractor", "mfcc,mfcc:n_mfcc=16,mfcc:n_mfcc=10"]
    words += {
        "run": ["--model", "popularity,knn,ease,itemknn"],
        "probe": ["--task", "catalog-genre", "--probe", "knn"],
    }[verb]
    words += ["--device", "cpu", "--cache", str(folder / "cache"), "--results", str(results), "--seeds"]
    timed([*words, str(max(seeds))])
    paths = list(results.rglob("seed*.json"))
    baseline = min(_look(paths) for _ in range(rounds)) / len(paths) * 1000
    rows: list[Unchanged] = []
    for number in seeds:
        cells = sum(int(path.stem.removeprefix("seed")) < number for path in paths)
        cpu = min(timed([*words, str(number)]).cpu for _ in range(rounds))
        each = 1000 * (cpu - rows[-1].cpu) / (cells - rows[-1].cells) if rows else math.nan
        rows.append(Unchanged(cells, cpu, each, baseline))
    return rows


def _look(paths: Sequence[Path]) -> float:
    """Return the CPU seconds of a stat of each cell's two files and json.loads of its record."""
    began = time.process_time()
    for path in paths:
        path.stat()
        rows_path(path, json.loads(path.read_bytes())["kind"]).stat()
    return time.process_time() - began


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
