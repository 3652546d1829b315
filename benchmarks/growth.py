"""How time and memory grow with N: fitted exponents for what every run does.

Every size runs in a process of its own, on one thread: CPU seconds, and the memory gained over what imports took.
An exponent is the slope of a line through the logarithms of all sizes: 1 is linear growth. Below some 50 ms, or 50
MiB, what does not grow hides what does.

    python benchmarks/growth.py                           # everything, some minutes
    python benchmarks/growth.py --what split "store read"
    python benchmarks/growth.py --tiny                    # a trial whose figures mean nothing
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measured_process
import numpy as np
from machine import machine

HERE = Path(__file__).parent
SHOWN = 1e-3
"""Seconds, or GiB, that are not told from nothing."""


@dataclass(frozen=True)
class Growth:
    """Work of size N: `prepare` gets a folder and N, and returns the function that is measured."""

    prepare: Callable[[Path, int], Callable[[], object]]
    unit: str
    sizes: tuple[int, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--what", nargs="+", choices=list(WORK), default=list(WORK), metavar="WHAT")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, size = arguments.child
        with tempfile.TemporaryDirectory() as folder:
            work = WORK[what].prepare(Path(folder), int(size))
            measured_process.report(lambda: {"result": str(work())[:0]})
        return
    print(machine())
    print("| what | N | CPU s | MiB | time | memory |\n|---|---|---|---|---|---|")
    for what in arguments.what:
        one = WORK[what]
        sizes = tuple(size // 100 for size in one.sizes) if arguments.tiny else one.sizes
        rows = [measured_process.run(__file__, what, str(size)) for size in sizes]
        spent, gained = [row["cpu"] for row in rows], [row["peak"] - row["before"] for row in rows]
        cells = [", ".join(f"{size:,}" for size in sizes) + f" {one.unit}"]
        cells += [", ".join(f"{value:.2f}" for value in spent), ", ".join(f"{1024 * value:.0f}" for value in gained)]
        print(f"| {what} | {' | '.join([*cells, slope(sizes, spent), slope(sizes, gained)])} |", flush=True)


def slope(sizes: tuple[int, ...], values: list[float]) -> str:
    """Return the exponent that fits best, or a dash where a value is too small to be told from nothing."""
    if min(values) < SHOWN:
        return "–"
    return f"N^{np.polyfit(np.log(sizes), np.log(values), 1)[0]:.2f}"


def elsewhere(function: str, folder: Path, *arguments: object) -> None:
    """Call a function of this script in another process, whose memory does not count."""
    words = ", ".join([f"pathlib.Path({str(folder)!r})", *map(repr, arguments)])
    program = f"import growth, pathlib; growth.{function}({words})"
    subprocess.run([sys.executable, "-c", program], cwd=HERE, check=True)


# -- files -------------------------------------------------------------------------------------------------


def files(folder: Path, number: int) -> list[str]:
    """Return as many names of one file, without millions of files."""
    one = folder / "one"
    one.write_bytes(bytes(4096))
    os.utime(one, (1e9, 1e9))
    paths = [f"{folder}/{at // 30_000}-{at}" for at in range(number)]
    for path in paths:
        os.symlink(one, path)
    return paths


def new_keys(folder: Path, number: int) -> Callable[[], object]:
    from bench.files.hash_index import HashIndex

    paths = files(folder, number)
    return lambda: HashIndex(folder / "index").hashes(paths)


def known_keys(folder: Path, number: int) -> Callable[[], object]:
    from bench.files.hash_index import HashIndex

    paths = files(folder, number)
    HashIndex(folder / "index").hashes(paths)
    return lambda: HashIndex(folder / "index").hashes(paths)


# -- vectors -----------------------------------------------------------------------------------------------


def entry() -> Any:
    """Return an extractor whose one layer is 200 wide, and its item table standardised."""
    from bench.entries import Component, ExtractorEntry
    from bench.protocols import Extractor, Window
    from bench.specs import parse

    class Wide(Extractor):
        name, sample_rate, layers, window = "wide", 16_000, {"last": 200}, Window(length=16_000, hop=16_000)

        def load(self, device: str, dtype: str) -> None:
            raise NotImplementedError

        frames = load

        def fingerprint(self) -> dict[str, Any]:
            return {}

    return ExtractorEntry("wide", (Component(parse("wide"), Wide(), None, None),), "standardize")


def opened(folder: Path) -> Any:
    from bench.extract import open_set

    return open_set(folder, entry().components[0].plugin)


def fill(folder: Path, tracks: int) -> None:
    from bench.extract.loop import SHARD_TRACKS
    from bench.store import Vector

    into = opened(folder)
    block = np.random.default_rng(0).standard_normal((SHARD_TRACKS, 200))
    for start in range(0, tracks, SHARD_TRACKS):
        rows = range(start, min(start + SHARD_TRACKS, tracks))
        cuts = ({name: block[i - start, :width] for name, width in into.layers.items()} for i in rows)
        into.append([Vector(f"{i:064x}", 30.0, cut) for i, cut in zip(rows, cuts, strict=True)], [])


def store_write(folder: Path, tracks: int) -> Callable[[], object]:
    fill(folder / "first", 1)  # imports
    return lambda: fill(folder, tracks)


def store_read(folder: Path, tracks: int) -> Callable[[], object]:
    elsewhere("fill", folder, tracks)
    rows = [f"{i:064x}" for i in np.random.default_rng(1).permutation(tracks)]
    found = opened(folder)
    return lambda: found.read(next(iter(found.layers)), rows)


def item_table(folder: Path, items: int) -> Callable[[], object]:
    """The stored vectors of all items, joined by id and standardised."""
    from bench.items.item_table import Tables

    elsewhere("fill", folder, items)
    ids = [f"t{i:08d}" for i in range(items)]
    tables, asked = Tables(folder, {name: f"{i:064x}" for i, name in enumerate(ids)}), entry()
    hot = np.ones(items, np.bool_)
    return lambda: tables.build(asked, ids, hot=hot)


# -- plays, lists, records ---------------------------------------------------------------------------------


def make_log(folder: Path, plays: int) -> None:
    import logs

    logs.write(logs.make(max(20, plays // 800), 56_000, plays, 0.5), folder)


def split(folder: Path, plays: int) -> Callable[[], object]:
    """Users grow with plays, items do not: 800 plays a user, half of them early."""
    import logs

    from bench.listening.log_dataset import scan
    from bench.splits.make import GlobalTemporal, make

    elsewhere("make_log", folder, plays)
    log = scan(folder / "plays.parquet", logs.COLUMNS)
    return lambda: make(log, GlobalTemporal(**logs.SPLIT))


def rank_items(folder: Path, items: int) -> Callable[[], object]:
    from rows.lists import ranking

    return ranking(folder, 500, items, 64, 50).bench


def rank_users(folder: Path, users: int) -> Callable[[], object]:
    from rows.lists import ranking

    return ranking(folder, users, 50_000, 64, 50).bench


def make_records(folder: Path, number: int) -> None:
    import report

    from bench.records import write

    for record, rows, held_out in report.records(number):
        write(record, folder, rows, held_out)


def read_records(folder: Path, number: int) -> Callable[[], object]:
    from bench.records import read_all

    elsewhere("make_records", folder, number)
    return lambda: list(read_all(folder))


def reported(folder: Path, number: int) -> Callable[[], object]:
    import report

    elsewhere("make_records", folder, number)
    return lambda: report.work("report", folder)


# -- recommenders ------------------------------------------------------------------------------------------


def train(spec: str) -> Callable[[Path, int], Callable[[], object]]:
    """Tracks grow, and pairs with them: 100 listeners a track."""

    def prepare(folder: Path, items: int) -> Callable[[], object]:
        from rows.recommenders import fitted, listening, table

        log = listening(5_000, items, 100 * items)
        fitted(spec, listening(50, 40, 400), table(40, 64))  # imports
        vectors = table(items, 64)
        return lambda: fitted(spec, log, vectors)

    return prepare


WORK: Mapping[str, Growth] = {
    "keys, new files": Growth(new_keys, "files", (5_000, 20_000, 80_000)),
    "keys, unchanged": Growth(known_keys, "files", (5_000, 20_000, 80_000)),
    "item table": Growth(item_table, "items", (20_000, 60_000, 180_000)),
    "store write": Growth(store_write, "tracks", (16_384, 49_152, 147_456)),
    "store read": Growth(store_read, "tracks", (16_384, 49_152, 147_456)),
    "split": Growth(split, "plays", (1_000_000, 3_000_000, 9_000_000)),
    "rank, by items": Growth(rank_items, "items", (50_000, 100_000, 200_000)),
    "rank, by users": Growth(rank_users, "users", (500, 1_000, 2_000)),
    "read records": Growth(read_records, "records", (300, 900, 2_700)),
    "report": Growth(reported, "records", (300, 900, 2_700)),
    "EASE": Growth(train("ease"), "tracks", (1_000, 2_000, 4_000)),
    "ItemKNN": Growth(train("itemknn"), "tracks", (1_000, 2_000, 4_000)),
    "profile kNN": Growth(train("knn"), "tracks", (1_000, 2_000, 4_000)),
}


if __name__ == "__main__":
    main()
