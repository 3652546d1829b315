"""Seconds of the command line: help, lists, the main job on the built-in data with nothing cached, and again.

Every line is a process of its own, wall time, the fastest of several; CPU seconds (all threads) beside it, for
they say more on a busy machine. The ratio is to a Python that starts and does nothing.

    python benchmarks/run.py
    python benchmarks/run.py --cold 5
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

JOB = ["run", "--extractor", "mfcc", "--model", "knn", "--device", "cpu", "--quiet"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", type=int, default=2, help="rounds of the cold run")
    arguments = parser.parse_args()
    print(machine())
    print(f"{'':38}{'wall':>8}{'CPU':>8}{'ratio':>8}")
    bare = best([[sys.executable, "-c", "pass"]] * arguments.rounds)
    show("python -c pass", bare, bare)
    with tempfile.TemporaryDirectory() as scratch:
        for words in (["--help"], ["run", "--help"], ["ls"], ["doctor"]):
            show("bench " + " ".join(words), best([bench(*words)] * arguments.rounds), bare)
        places = [
            ["--cache", str(Path(scratch) / f"cache{i}"), "--results", str(Path(scratch) / f"results{i}")]
            for i in range(arguments.cold)
        ]
        show("bench run, nothing cached", best([bench(*JOB, *place) for place in places]), bare)
        same = bench(*JOB, *places[0])
        show("bench run, nothing changed", best([same] * arguments.rounds), bare)
        show("bench run, another treatment", best([bench(*JOB, "--treat", "standardize", *p) for p in places]), bare)


def bench(*words: str) -> list[str]:
    return [sys.executable, "-m", "bench", *words]


def best(commands: list[list[str]]) -> tuple[float, float]:
    """Wall and CPU seconds of the fastest."""
    return min(timed(command) for command in commands)


def timed(command: list[str]) -> tuple[float, float]:
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    after = os.times()
    before_s, after_s = (times.children_user + times.children_system for times in (before, after))
    return wall, after_s - before_s


def show(what: str, found: tuple[float, float], bare: tuple[float, float]) -> None:
    print(f"{what:38}{found[0]:6.2f} s{found[1]:6.2f} s{found[0] / bare[0]:8.1f}", flush=True)


if __name__ == "__main__":
    main()
