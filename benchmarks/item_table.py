"""Peak memory and processor time of an item table: vectors of width 200 read from the store and standardised.

The table is built in a process of its own; the peak is what it gained over the ids and the map from ids to rows, as a
multiple of the vectors (float32), which are the baseline. The sha256 of the table stands beside, to compare versions.

    python benchmarks/item_table.py
    python benchmarks/item_table.py --items 100000
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import measured_process
import numpy as np
from machine import machine

SPEC = "musicnn:lane=published,weights=random"
WIDTH = 200
SHARD = 16_384


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--child", nargs=2, metavar=("WHO", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        who, folder = arguments.child
        WORK[who](Path(folder))
        return
    print(machine())
    row = measure(arguments.items)
    print(
        f"{arguments.items:,} x {WIDTH}: peak {row['gained']:.2f} GiB, {row['gained'] / row['vectors']:.2f} x the "
        f"vectors; {row['cpu']:.1f} CPU s, sha256 {row['sha256'][:16]}"
    )


def measure(items: int) -> dict[str, Any]:
    """Fill a store, then build the table in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "items").write_text(str(items))
        measured_process.run(__file__, "fill", folder)
        return measured_process.run(__file__, "build", folder)


def fill(folder: Path) -> None:
    from bench.extract import open_set
    from bench.resolver import resolve
    from bench.store import Vector

    def work() -> dict[str, Any]:
        items, rng = int((folder / "items").read_text()), np.random.default_rng(0)
        into = open_set(folder, resolve(SPEC).components[0].plugin)
        for start in range(0, items, SHARD):
            block = rng.standard_normal((min(SHARD, items - start), WIDTH))
            into.append([Vector(f"{start + at:064x}", 30.0, {"penultimate": one}) for at, one in enumerate(block)], [])
        return {}

    measured_process.report(work)


def build(folder: Path) -> None:
    from bench.items.item_table import Tables
    from bench.resolver import resolve

    items = int((folder / "items").read_text())
    ids = [f"track-{at:08d}" for at in range(items)]
    row_of = {name: f"{at:064x}" for at, name in enumerate(ids)}
    hot = np.arange(items) % 5 != 0
    entry = resolve(SPEC, treat="standardize")
    tables = Tables(folder, row_of)
    tables.build(entry, ids[:1000], hot=hot[:1000])  # imports; the manifest of the store is read in each process
    before = measured_process.peak()

    def work() -> dict[str, Any]:
        table = tables.build(entry, ids, hot=hot)
        return {
            "sha256": table.sha256,
            "gained": measured_process.peak() - before,
            "vectors": table.vectors.nbytes / 2**30,
        }

    measured_process.report(work)


WORK = {"fill": fill, "build": build}

if __name__ == "__main__":
    main()
