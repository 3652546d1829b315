"""Splitting a long listening log: CPU seconds and memory as ratios to a plain pandas program.

A log with plays of years before the window is made, as TSV and as Parquet. Two programs read it, keep the
window, collapse it to (user, item) pairs with first play, last play and count, hold out what is new after
the cut, halve its users, and write Parquet. Each runs in a process of its own, on one thread.

    python benchmarks/split.py                              # 50 million plays, half of them early
    python benchmarks/split.py --plays 5000000 --users 5000
    python benchmarks/split.py --folder logs                # keep the log and use it again
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import logs
import measured_process
from machine import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--plays", type=int, default=50_000_000)
    parser.add_argument("--users", type=int, default=17_053)
    parser.add_argument("--items", type=int, default=56_193)
    parser.add_argument("--early", type=float, default=0.5, help="share of plays before the window")
    parser.add_argument("--kinds", nargs="+", default=["tsv", "parquet"])
    parser.add_argument("--who", nargs="+", default=["bench", "pandas"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", nargs=2, metavar=("WHO", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        who, path = arguments.child
        work = bench_split if who == "bench" else pandas_split
        with tempfile.TemporaryDirectory() as out:
            measured_process.report(lambda: work(Path(path), Path(out)))
        return
    print(machine("pandas"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        paths = {kind: folder / f"plays.{kind}" for kind in ("tsv", "parquet")}
        if not all(path.exists() for path in paths.values()):
            made = logs.make(arguments.users, arguments.items, arguments.plays, arguments.early)
            paths = logs.write(made, folder)
            del made
        for kind in arguments.kinds:
            compare(paths[kind], arguments.who)


def compare(path: Path, who: list[str]) -> None:
    print(f"{path.name}, {path.stat().st_size / 1e9:.2f} GB, one thread")
    found = {}
    for name in who:
        found[name] = row = measured_process.run(__file__, name, str(path))
        print(
            f"  {name:7} {row['cpu']:7.1f} CPU s  {row['wall']:7.1f} s wall  {row['peak']:6.2f} GiB   "
            f"{row['train']} training and {row['held']} held-out hot pairs of {row['plays']} plays",
            flush=True,
        )
    if {"bench", "pandas"} <= found.keys():
        ours, theirs = found["bench"], found["pandas"]
        assert all(ours[name] == theirs[name] for name in ("plays", "train", "held", "sums")), found
        print(
            f"  bench: {theirs['cpu'] / ours['cpu']:.2f} times fewer CPU seconds, "
            f"{theirs['wall'] / ours['wall']:.2f} times less wall, {ours['peak'] / theirs['peak']:.2f} of the memory"
        )


def bench_split(path: Path, out: Path) -> dict[str, object]:
    import polars as pl

    from bench.listening.log_dataset import scan
    from bench.splits.make import GlobalTemporal, make
    from bench.splits.storage import write

    split = make(scan(path, logs.COLUMNS), GlobalTemporal(**logs.SPLIT))
    write(split, out)
    part, cold = pl.col("part"), pl.col("cold")
    found = split.pairs.lazy().select(
        (part == "train").sum().alias("train"),
        ((part != "train") & ~cold).sum().alias("held"),
        *(pl.col(name).cast(pl.Int64).filter(part == "train").sum() for name in ("first", "last", "count")),
        *(((part == each) & ~cold).sum().alias(each) for each in ("valid", "test")),
    )
    row = found.collect(engine="streaming").row(0, named=True)
    sums = [row[name] for name in ("first", "last", "count", "valid", "test")]
    return {"plays": split.counts["log"]["plays"], "train": row["train"], "held": row["held"], "sums": sums}


def pandas_split(path: Path, out: Path) -> dict[str, object]:
    """Do it as one would without thinking of memory: every step a line, the whole log in one frame."""
    import numpy as np
    import pandas as pd

    if path.suffix == ".parquet":
        plays = pd.read_parquet(path)
    else:
        # low_memory=True, the default, crashes in the C parser of pandas 2.3.3 beyond some 20 million rows.
        plays = pd.read_csv(path, sep="\t", parse_dates=["timestamp"], low_memory=False)
    total = len(plays)
    plays = plays[(plays["timestamp"] >= logs.SPLIT["start"]) & (plays["timestamp"] < logs.SPLIT["end"])]
    pair, how = ["user_id", "track_id"], {"first": "min", "last": "max", "count": "count"}
    early = plays["timestamp"] < logs.SPLIT["cut"]
    train = plays[early].groupby(pair)["timestamp"].agg(**how).reset_index()
    later = plays[~early].groupby(pair)["timestamp"].agg(**how).reset_index()
    held = later.merge(train[pair], on=pair, how="left", indicator=True)
    held = held[(held["_merge"] == "left_only") & held["user_id"].isin(train["user_id"])].drop(columns="_merge")
    held["cold"] = ~held["track_id"].isin(train["track_id"])
    warm = held[~held["cold"]]
    users = np.sort(warm["user_id"].unique())
    order = np.random.RandomState(42).permutation(len(users))
    tests = set(users[order[: -(-len(users) // 2)]])
    in_test = held["user_id"].isin(tests)
    parts = {"train": train, "valid": held[~in_test], "test": held[in_test]}
    for name, part in parts.items():
        part.sort_values(["user_id", "first", "track_id"]).to_parquet(out / f"{name}.parquet", index=False)
    seconds = [int(train[name].astype("datetime64[s]").astype("int64").sum()) for name in ("first", "last")]
    halves = [int((~parts[name]["cold"]).sum()) for name in ("valid", "test")]
    sums = [*seconds, int(train["count"].sum()), *halves]
    return {"plays": total, "train": len(train), "held": len(warm), "sums": sums}


if __name__ == "__main__":
    main()
