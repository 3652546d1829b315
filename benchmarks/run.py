"""Seconds of the command line: help, lists, the main job on the built-in data with nothing cached, and again.

Every line is a process of its own, wall time, the fastest of several; CPU seconds (all threads) beside it, for
they say more on a busy machine. The ratio is to a Python that starts and does nothing.

    python benchmarks/run.py
    python benchmarks/run.py --cold 5
    python benchmarks/run.py --quick-start      # MusiCNN on the demo, cold, beside the bare work: minutes
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
    parser.add_argument("--quick-start", action="store_true", help="measure only the README's first command, cold")
    arguments = parser.parse_args()
    if arguments.quick_start:
        print(machine())
        whole, floor = quick_start()
        print(f"quick start, cold: {whole:.1f} CPU s; bare work {floor:.1f} CPU s; ratio {whole / floor:.2f}")
        return
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


def quick_start() -> tuple[float, float]:
    """Return CPU seconds of the quick start with an empty cache, and of its bare work.

    The command includes the fetching of the weights by pip. The bare work: every track of the demo rendered, decoded,
    and its patches through the network in batches, in loops over one process.
    """
    words = ("run", "--extractor", "musicnn", "--model", "knn", "--device", "cpu", "--quiet")
    with tempfile.TemporaryDirectory() as scratch:
        whole = timed(bench(*words, "--cache", f"{scratch}/cache", "--results", f"{scratch}/results"))[1]
        code = "import sys, run; run.bare_work(sys.argv[1])"
        audio = next(Path(scratch).glob("cache/datasets/*/audio"))
        command = [sys.executable, "-c", code, str(audio)]
        return whole, timed(command, cwd=Path(__file__).parent)[1]


def bare_work(audio: str) -> None:
    import numpy as np
    import torch

    from bench.audio import TrackReader
    from bench.registry import create
    from bench.synthetic import DEMO, make_world, render

    world = make_world(DEMO)
    for row in range(DEMO.tracks):
        render(world, row)
    musicnn = create("extractors", "musicnn:weights=random")
    musicnn.load("cpu", "float32")
    waves: list[np.ndarray] = []
    with torch.inference_mode():
        for path in sorted(Path(audio).iterdir()):
            waves += TrackReader(path, sample_rate=musicnn.sample_rate, window=musicnn.window).windows()
            if len(waves) >= 16:
                list(musicnn.frames(torch.from_numpy(np.stack(waves))))
                waves.clear()


def bench(*words: str) -> list[str]:
    return [sys.executable, "-m", "bench", *words]


def best(commands: list[list[str]]) -> tuple[float, float]:
    """Wall and CPU seconds of the fastest."""
    return min(timed(command) for command in commands)


def timed(command: list[str], cwd: Path | None = None) -> tuple[float, float]:
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
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
