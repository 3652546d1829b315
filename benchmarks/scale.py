"""How time and memory grow with rows, users and items: the figures behind SCALE.md.

Every size runs in a process of its own, on one thread; CPU seconds and the memory a process gained over
what its imports took. The last column is the exponent between neighbours: 1 is linear growth.

    python benchmarks/scale.py                    # everything, some minutes
    python benchmarks/scale.py --what manifest hashes
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import measured_process
import numpy as np

from bench.store import Vector, VectorSet

SIZES: Mapping[str, tuple[int, ...]] = {
    "split": (1_000_000, 4_000_000, 16_000_000),
    "rank items": (25_000, 50_000, 100_000, 200_000),
    "rank users": (500, 1_000, 2_000),
    "store write": (4_096, 16_384, 65_536),
    "store read": (4_096, 16_384, 65_536),
    "manifest": (65_536, 262_144, 1_048_576),
    "hashes": (10_000, 40_000, 160_000),
}
UNITS = {"split": "plays", "rank items": "items", "rank users": "users", "hashes": "files"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--what", nargs="+", choices=list(SIZES), default=list(SIZES), metavar="WHAT")
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, size = arguments.child
        WORK[what](int(size))
        return
    for what in arguments.what:
        before: tuple[float, float, float] | None = None
        for size in SIZES[what]:
            row = measured_process.run(__file__, what, str(size))
            cpu, memory = row["cpu"], row["peak"] - row["before"]
            grown = f"  time ^{slope(before[0], size, before[1], cpu)}" if before else ""
            grown += f"  memory ^{slope(before[0], size, before[2], memory)}" if before else ""
            note = f"  {row['note']}" if "note" in row else ""
            unit = UNITS.get(what, "tracks")
            print(f"{what:12}{size:12,} {unit:7}{cpu:9.2f} CPU s {memory * 1024:8.0f} MiB{grown}{note}", flush=True)
            before = size, cpu, memory


def slope(small: float, large: float, less: float, more: float) -> str:
    return f"{math.log(max(more, 1e-6) / max(less, 1e-6)) / math.log(large / small):.2f}"


def split(plays: int) -> None:
    """Users grow with plays, items do not: 800 plays a user."""
    import logs

    from bench.listening.log_dataset import scan
    from bench.splits.make import GlobalTemporal, make

    with tempfile.TemporaryDirectory() as folder:
        # Made elsewhere, so that making it leaves no mark on this process's memory.
        program = f"logs.write(logs.make({plays // 800}, 56_000, {plays}, 0.5), pathlib.Path({folder!r}))"
        program = f"import logs, pathlib; {program}"
        subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parent, check=True)
        path = Path(folder) / "plays.parquet"

        def work() -> dict[str, str]:
            found = make(scan(path, logs.COLUMNS), GlobalTemporal(**logs.SPLIT))  # type: ignore[arg-type]
            return {"note": f"{found.pairs.height:,} pairs"}

        measured_process.report(work)


def ranking(users: int, items: int) -> None:
    import torch

    from bench.metrics import Truth
    from bench.ranking.rank import Candidates, rank

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    people = np.arange(users, dtype=np.int32)
    left, right = (torch.from_numpy(rng.standard_normal((n, 64), np.float32)) for n in (users, items))
    seen = Truth.of(np.repeat(people, 300), rng.integers(0, items, 300 * users), users)
    every = [Candidates("hot", np.ones(items, bool))]

    def work() -> dict[str, str]:
        rank(lambda batch: left[batch] @ right.T, people, history=seen, candidates=every, k=50, seed=0)
        return {}

    measured_process.report(work)


def filled(folder: Path, tracks: int, width: int, dtype: str) -> None:
    from bench.extract.loop import SHARD_TRACKS

    block = np.random.default_rng(0).standard_normal((SHARD_TRACKS, width))
    into = opened(folder, width, dtype)
    for start in range(0, tracks, SHARD_TRACKS):
        rows = range(start, min(start + SHARD_TRACKS, tracks))
        into.append([Vector(f"{i:064x}", 30.0, {"a": block[i - start]}) for i in rows], [])


def elsewhere(folder: str, tracks: int, width: int) -> None:
    """Fill a store in another process, whose memory does not count."""
    make = f"import scale, pathlib; scale.filled(pathlib.Path({folder!r}), {tracks}, {width}, 'float16')"
    subprocess.run([sys.executable, "-c", make], cwd=Path(__file__).parent, check=True)


def opened(folder: Path, width: int, dtype: str) -> VectorSet:
    return VectorSet(folder, "scale", {}, {"a": width}, dtype)


def write(tracks: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        filled(Path(folder) / "first", 1, 1024, "float16")  # imports

        def work() -> dict[str, str]:
            filled(Path(folder), tracks, 1024, "float16")
            return {}

        measured_process.report(work)


def read(tracks: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        elsewhere(folder, tracks, 1024)
        rows = [f"{i:064x}" for i in np.random.default_rng(1).permutation(tracks)]
        found = opened(Path(folder), 1024, "float16")
        measured_process.report(lambda: {"note": f"{found.read('a', rows)[0].nbytes / 2**20:.0f} MiB of it the result"})


def manifest(tracks: int) -> None:
    """What every run asks first: which of its rows are there."""
    with tempfile.TemporaryDirectory() as folder:
        elsewhere(folder, tracks, 1)
        rows = [f"{i:064x}" for i in range(tracks)]
        found = opened(Path(folder), 1, "float16")
        measured_process.report(lambda: {"note": f"{len(found.missing(rows))} missing, {tracks // 256} shards"})


def hashes(files: int) -> None:
    """Look up every file of a collection that did not change since its sha256 was remembered."""
    import time

    from bench.files.hash_index import HashIndex

    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one"
        one.write_bytes(bytes(4096))
        os.utime(one, (1e9, 1e9))
        paths = [f"{folder}/{at // 30_000}-{at}" for at in range(files)]
        for path in paths:
            os.symlink(one, path)  # a name of its own for each, without millions of files
        began = time.process_time()
        HashIndex(Path(folder) / "index").hashes(paths)
        first = time.process_time() - began

        def work() -> dict[str, str]:
            HashIndex(Path(folder) / "index").hashes(paths)
            return {"note": f"the first time {first:.1f} CPU s"}

        measured_process.report(work)


WORK: Mapping[str, Callable[[int], None]] = {
    "split": split,
    "rank items": lambda size: ranking(500, size),
    "rank users": lambda size: ranking(size, 50_000),
    "store write": write,
    "store read": read,
    "manifest": manifest,
    "hashes": hashes,
}


if __name__ == "__main__":
    main()
