"""File keys, item tables, the store of vectors, splits, reports and whole commands, against plain file access."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import measured_process
import numpy as np

from bench.files.hash_index import HashIndex
from rows.row import Case, Cost, Row

HERE = Path(__file__).parent.parent


def same(found: Mapping[str, Any]) -> str:
    first, *others = found.values()
    assert all(np.array_equal(first, other) for other in others), {name: str(x)[:80] for name, x in found.items()}
    return "equal"


def keys_missing(folder: Path, files: int) -> Case:
    paths = [str(folder / f"absent{i}.wav") for i in range(files)]
    number = count()

    def stat() -> list[str]:
        found = []
        for path in paths:
            try:
                os.stat(path)
            except OSError:
                found.append("missing")
        return found

    def ours() -> list[str]:
        return [str(found) for found in HashIndex(folder / f"index{next(number)}").hashes(paths)]

    return Case(ours, {"failed os.stat": stat}, same)


def keys_new(folder: Path, files: int) -> Case:
    number, paths = count(), []
    for i in range(files):
        path = folder / f"{i}.wav"
        path.write_bytes(f"{i:064d}".encode())
        os.utime(path, (1e9, 1e9))
        paths.append(str(path))

    def plain() -> list[str]:
        found = []
        for path in paths:
            with open(path, "rb") as file:
                found.append(hashlib.sha256(file.read()).hexdigest())
        return found

    return Case(lambda: HashIndex(folder / f"index{next(number)}").hashes(paths), {"open, read, sha256": plain}, same)


def item_table(folder: Path, items: int) -> Case:
    """Compare peak memory with the bytes of the vectors: of `items`, and so of ten million by extrapolation."""

    def ours() -> Cost:
        row = measured_process.run(str(HERE / "growth.py"), "item table", str(items))
        return Cost((row["peak"] - row["before"]) * 1e7 / items)

    vectors = 4 * 200 * 1e7 / 2**30
    return Case(ours, {"vectors alone": lambda: Cost(vectors)}, lambda _: f"extrapolated from {items:,} items")


def store(what: str) -> Callable[..., Case]:
    """Compare shards of 256 tracks with files of safetensors and of Arrow; store.py lets all three take turns."""

    def prepare(folder: Path, tracks: int, layers: int, width: int, rounds: int) -> Case:
        import store as stored

        least = stored.measure(tracks, layers, width, "float16", rounds, folder)[what]
        sides = {who: (lambda spent=spent: Cost(spent)) for who, spent in least.items()}
        return Case(sides.pop("store"), sides, lambda _: f"equal vectors; least of {rounds}")

    return prepare


def split(folder: Path, plays: int, users: int, items: int) -> Case:
    import logs

    path = logs.write(logs.make(users, items, plays, 0.5), folder)["parquet"]

    def side(who: str) -> Callable[[], Cost]:
        def work() -> Cost:
            row = measured_process.run(str(HERE / "split.py"), who, str(path))
            return Cost(row["cpu"], [row["plays"], row["train"], row["held"], *row["sums"]])

        return work

    return Case(side("bench"), {"pandas": side("pandas")}, same)


def report(verb: str) -> Callable[..., Case]:
    def prepare(folder: Path, records: int) -> Case:
        import report as made

        from bench.records import write

        for record, rows, held_out in made.records(records):
            write(record, folder / "records", rows, held_out)

        def side(who: str) -> Callable[[], Cost]:
            return lambda: Cost(measured_process.run(made.__file__, who, str(folder / "records"))["cpu"])

        return Case(
            side(verb), {"plain reading": side("plain")}, lambda _: "every file read; the peer computes nothing"
        )

    return prepare


def nothing_to_do(folder: Path, least: int, most: int) -> Case:
    """Compare milliseconds that an unchanged cell adds, from `least` to `most` seeds."""
    import second_run

    *_, found = second_run.unchanged("run", folder, (least, most))
    peers = {"json.loads, stat": lambda: Cost(found.baseline)}
    return Case(lambda: Cost(found.each), peers, lambda _: f"all of {found.cells} cells unchanged")


SET = {"tracks": 5_000, "layers": 25, "width": 1_024, "rounds": 5}
SMALL_SET = {"tracks": 300, "layers": 3, "width": 8, "rounds": 1}
ROWS = [
    Row("keys-missing", "the answer that a file is missing, at most 8 us for each of 50,000", 0.4, keys_missing,
        {"files": 50_000}, {"files": 20}, 20, limit=True),
    Row("keys-new", "sha256 of tiny new files; bench also stores it for the next run",
        1.5, keys_new, {"files": 20_000}, {"files": 20}, 30),
    Row("item-table", "peak memory of a table of 10 million items x 200, standardised, against the vectors",
        1.5, item_table, {"items": 1_000_000}, {"items": 1_000}, 60, rounds=1, unit="GiB"),
    Row("store-write", "256 MB of vectors in shards of 256 tracks, hashed and fsynced", 1.2, store("write"), SET,
        SMALL_SET, 60, rounds=1),
    Row("store-one", "one layer of 25, joined by key to tracks in another order, hashes compared",
        1.2, store("read one layer"), SET, SMALL_SET, 60, rounds=1),
    Row("store-all", "all 25 layers, joined and compared in the same way", 1.2, store("read every layer"), SET,
        SMALL_SET, 60, rounds=1),
    Row("split", "a log in Parquet read, split and written", 1 / 3, split,
        {"plays": 10_000_000, "users": 3_400, "items": 56_193}, {"plays": 20_000, "users": 60, "items": 200}, 100,
        rounds=1, needs={"pandas": "pip install 'pandas>=2,<3'"}),
    # A quarter of the time that they took when each users file was read six times: 32 and 51 times plain reading.
    Row("report", "`bench report` of records, against reading and hashing each file once",
        8.0, report("report"), {"records": 1_000}, {"records": 60}, 60, rounds=1),
    Row("leaderboard", "`bench leaderboard` of the same", 12.7, report("leaderboard"), {"records": 1_000},
        {"records": 60}, 60, rounds=1),
    Row("nothing-to-do", "an unchanged cell of `bench run`, in milliseconds; the peer looks at its files and parses "
        "its record", 3.0, nothing_to_do, {"least": 2, "most": 42}, {"least": 1, "most": 2}, 120, rounds=1, unit="ms",
        limit=True),
]  # fmt: skip
