"""File keys, item tables, the store of vectors, splits, reports and whole commands, against plain file access."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import measured_process
import numpy as np
from numpy.typing import NDArray

from bench.files.atomic import sync
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


Part = dict[str, NDArray[np.float16]]


def store(what: str) -> Callable[..., Case]:
    """Compare shards of 256 tracks: written with checksum and fsync; one layer, or all, read in another order."""

    def prepare(folder: Path, tracks: int, layers: int, width: int) -> Case:
        from bench.extract.loop import SHARD_TRACKS
        from bench.store import Vector, VectorSet

        rng = np.random.default_rng(0)
        names = [f"layer{i}" for i in range(layers)]
        block = rng.standard_normal((SHARD_TRACKS, layers, width)).astype(np.float16)
        rows = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(tracks)]
        wanted = [rows[i] for i in rng.permutation(tracks)]
        number = count()

        def opened(where: Path) -> VectorSet:
            return VectorSet(where, "bench", {"extractor": "bench"}, dict.fromkeys(names, width), "float16")

        def shards() -> Iterator[tuple[list[str], NDArray[np.float16]]]:
            for start in range(0, tracks, SHARD_TRACKS):
                part = rows[start : start + SHARD_TRACKS]
                yield part, block[: len(part)]

        def ours() -> Path:
            where = folder / f"bench{next(number)}"
            into = opened(where)
            for part, values in shards():
                cuts = (dict(zip(names, cut, strict=True)) for cut in values)
                into.append([Vector(row, 30.0, cut) for row, cut in zip(part, cuts, strict=True)], [])
            return where

        def plain(save: Callable[[Path, list[str], Part], None], suffix: str) -> Path:
            where = folder / f"{suffix}{next(number)}"
            where.mkdir()
            for at, (part, values) in enumerate(shards()):
                columns = {name: np.ascontiguousarray(values[:, layer]) for layer, name in enumerate(names)}
                path = where / f"{at:06d}.{suffix}"
                save(path, part, columns)
                with open(path, "rb+") as file:
                    path.with_suffix(".sha256").write_text(hashlib.file_digest(file, "sha256").hexdigest())
                    os.fsync(file.fileno())
            sync(where)
            return where

        writers = {name: (lambda save=save, name=name: plain(save, name)) for name, (save, _) in FORMATS.items()}
        if what == "write":
            return Case(ours, writers, lambda _: "half floats, sha256 and fsync of every shard")
        asked = names if what == "all" else [names[layers // 2]]
        place, folders = ours(), {name: work() for name, work in writers.items()}
        # Once a state of a file: later runs trust the checksum that was verified.
        opened(place).read(names[0], wanted)

        def read() -> list[NDArray[np.float32]]:
            found = opened(place)
            return [found.read(name, wanted)[0] for name in asked]

        def plain_read(kind: str) -> list[NDArray[np.float32]]:
            parts: list[Part] = []
            order: dict[str, int] = {}
            for path in sorted(folders[kind].glob(f"*.{kind}")):
                keys, columns = FORMATS[kind][1](path, asked)
                order.update((key, len(order)) for key in keys)
                parts.append(columns)
            at = [order[row] for row in wanted]
            return [np.concatenate([part[name] for part in parts])[at].astype(np.float32) for name in asked]

        return Case(read, {kind: (lambda kind=kind: plain_read(kind)) for kind in FORMATS}, same)

    return prepare


def save_safetensors(path: Path, rows: list[str], columns: Part) -> None:
    from safetensors.numpy import save_file

    save_file(columns, path, {"rows": " ".join(rows)})


def load_safetensors(path: Path, asked: list[str]) -> tuple[list[str], Part]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return file.metadata()["rows"].split(), {name: file.get_tensor(name) for name in asked}


def save_arrow(path: Path, rows: list[str], columns: Part) -> None:
    import pyarrow as pa

    lists = [pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x.shape[1]) for x in columns.values()]
    written = pa.Table.from_arrays([pa.array(rows), *lists], names=["row", *columns])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, written.schema) as writer:
        writer.write_table(written)


def load_arrow(path: Path, asked: list[str]) -> tuple[list[str], Part]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
        flat = {name: table.column(name).combine_chunks().flatten().to_numpy() for name in asked}
        return table.column("row").to_pylist(), {name: x.reshape(len(table), -1) for name, x in flat.items()}


FORMATS: Mapping[str, tuple[Callable[..., None], Callable[..., tuple[list[str], Part]]]] = {
    "safetensors": (save_safetensors, load_safetensors),
    "arrow": (save_arrow, load_arrow),
}


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

        for record, rows in made.records(records):
            write(record, folder / "records", rows)

        def side(who: str) -> Callable[[], Cost]:
            return lambda: Cost(measured_process.run(made.__file__, who, str(folder / "records"))["cpu"])

        return Case(
            side(verb), {"plain reading": side("plain")}, lambda _: "every file read; the peer computes nothing"
        )

    return prepare


def nothing_to_do(folder: Path, cells: int) -> Case:
    """Compare milliseconds a cell: what a run of `cells` cells takes more than one of a tenth of them."""
    import subprocess

    import logs

    path = logs.write(logs.make(60, 50, 3_000, 0.0), folder)["parquet"]
    words = [sys.executable, "-m", "bench", "run", "--extractor", "none", "--model", "popularity,random",
             "--listens", str(path), "--columns", ",".join(f"{role}={name}" for role, name in logs.COLUMNS.items()),
             "--split", "global_temporal:" + ",".join(f"{k}={v}" for k, v in logs.SPLIT.items()),
             "--cache", str(folder / "cache"), "--results", str(folder / "results")]  # fmt: skip
    few = max(1, cells // 20)

    def run(seeds: int) -> float:
        before = os.times()
        subprocess.run([*words, "--seeds", str(seeds)], check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    run(cells // 2)

    def ours() -> Cost:
        long, short = run(cells // 2), run(few)
        return Cost(1e3 * (long - short) / (cells - 2 * few))

    return Case(ours, {}, lambda _: "all cells unchanged")


SET, SMALL_SET = {"tracks": 4_883, "layers": 25, "width": 1_024}, {"tracks": 300, "layers": 3, "width": 8}
ROWS = [
    Row("keys-missing", "the answer that a file is missing", 1.25, keys_missing, {"files": 50_000}, {"files": 20}, 20),
    Row("keys-new", "sha256 of tiny new files; bench also stores it for the next run",
        1.5, keys_new, {"files": 20_000}, {"files": 20}, 30),
    Row("item-table", "peak memory of a table of 10 million items x 200, standardised, against the vectors",
        1.5, item_table, {"items": 1_000_000}, {"items": 1_000}, 60, rounds=1, unit="GiB"),
    Row("store-write", "250 MB of vectors in shards of 256 tracks", 1.2, store("write"), SET, SMALL_SET, 30),
    Row("store-one", "one layer of 25, joined by key to tracks in another order",
        1.2, store("one"), SET, SMALL_SET, 20, rounds=5),
    Row("store-all", "all 25 layers, joined in the same way", 1.2, store("all"), SET, SMALL_SET, 30),
    Row("split", "a log in Parquet read, split and written", 1 / 3, split,
        {"plays": 10_000_000, "users": 3_400, "items": 56_193}, {"plays": 20_000, "users": 60, "items": 200}, 100,
        rounds=1, needs={"pandas": "pip install 'pandas>=2,<3'"}),
    Row("report", "`bench report` of records, against reading and hashing each file once",
        3.0, report("report"), {"records": 1_000}, {"records": 60}, 60, rounds=1),
    Row("leaderboard", "`bench leaderboard` of the same", 3.0, report("leaderboard"), {"records": 1_000},
        {"records": 60}, 60, rounds=1),
    Row("nothing-to-do", "an unchanged cell of `bench run`, in milliseconds of CPU", 3.0, nothing_to_do,
        {"cells": 200}, {"cells": 4}, 60, rounds=3, unit="ms", limit=True),
]  # fmt: skip
