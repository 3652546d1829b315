"""Reading a bz2 log: the rate as a share of what the bare decompressor of the standard library reaches.

The log is made, packed, and read in turn by ``bz2.open(...).read`` alone and by ``bench.listening.log_dataset.scan``
down to counted users, items and times; each in a process of its own. With rapidgzip (extra ``bz2``) bench reads on
one core, then on all; the CPU seconds tell what that costs.

    python benchmarks/bzip2.py
    python benchmarks/bzip2.py --plays 5000000 --rounds 5
"""

from __future__ import annotations

import argparse
import bz2
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import logs
import measured_process
import polars as pl
from machine import machine

from bench.listening.log_dataset import scan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--plays", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("WHO", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        who, path = arguments.child
        measured_process.report(lambda: bare(path) if who == "stdlib" else ours(path))
        return
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        path = logs.write(logs.make(2_000, 50_000, arguments.plays, early=0.5), Path(folder))["tsv"]
        packed = path.with_suffix(".tsv.bz2")
        with open(path, "rb") as plain, bz2.open(packed, "wb") as file:
            shutil.copyfileobj(plain, file, 1 << 20)
        size = path.stat().st_size / 1e6
        print(f"{arguments.plays} plays, {size:.0f} MB of text in {packed.stat().st_size / 1e6:.0f} MB of bz2")
        compare(packed, size, arguments.rounds)


def compare(packed: Path, size: float, rounds: int) -> None:
    pools = {
        "stdlib": measured_process.ONE,
        "bench": measured_process.ONE | {"BENCH_CORES": "1"},
        "bench, all cores": measured_process.ONE,
    }
    rows: dict[str, list[Mapping[str, float]]] = {who: [] for who in pools}
    for _ in range(rounds):
        for who, more in pools.items():
            rows[who].append(measured_process.run(__file__, who, str(packed), more))
    cpu = {who: min(row["cpu"] for row in found) for who, found in rows.items()}
    wall = {who: min(row["wall"] for row in found) for who, found in rows.items()}
    for who, found in rows.items():
        peak = max(row["peak"] - row["before"] for row in found)
        share = cpu["stdlib"] / cpu[who]
        print(
            f"  {who:17} {cpu[who]:6.2f} CPU s, {size / cpu[who]:5.1f} MB a CPU second = {share:4.0%} "
            f"of the decompressor; {wall[who]:6.2f} s wall = {wall['stdlib'] / wall[who]:4.0%}; {peak:.2f} GiB"
        )


def bare(path: str) -> dict[str, int]:
    """Unpack and throw away."""
    total = 0
    with bz2.open(path) as file:
        while block := file.read(1 << 20):
            total += len(block)
    return {"bytes": total}


def ours(path: str) -> dict[str, int]:
    """Read plays as a split does, and count them."""
    plays = scan(Path(path), logs.COLUMNS)
    found = plays.select(pl.len(), pl.col("time").null_count().alias("nulls")).collect(engine="streaming")
    assert not found["nulls"].item()
    return {"plays": found["len"].item()}


if __name__ == "__main__":
    if os.environ.get("BENCH_CORES") == "1" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main()
