"""`bench report` and `bench leaderboard` of thousands of records: CPU seconds and peak memory, against plain reading.

    python benchmarks/report.py                           # about 5,000 records; minutes to write them
    python benchmarks/report.py --records 1000 --folder F  # keep the records in F; later calls measure at once

The baseline reads the same files once and computes nothing: ``json.loads`` and the hash of each record, and polars
and the hash of each file of users or ranks. Records are made up, and valid: `bench.records.write` writes them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from itertools import product
from pathlib import Path
from typing import Any

import measured_process
import numpy as np
import polars as pl
from machine import machine

from bench.metrics.from_ranks import hits_of
from bench.metrics.ranking import chance, values_of
from bench.records import (
    DataInfo,
    ExtractorInfo,
    RecommenderInfo,
    Record,
    SplitInfo,
    TaskInfo,
    View,
    environment,
    write,
)
from bench.records.ranks import HeldOut
from bench.stats import bootstrap

KS, USERS = (10, 50), {"hot": 100, "cold": 60, "mixed": 100}
CANDIDATES = {"hot": 4_000, "cold": 500, "mixed": 4_500}
DATA = tuple(product(("music-a", "music-b"), ("global_temporal", "cold_random")))
LANES = ("corrected", "published")
SEEDS = {"knn": 1, "ease": 1, "itemknn": 1, "shallow": 5, "bert4rec": 5, "sasrec": 5}
"""Recommenders, and with how many seeds each was trained."""
TASKS = ("tags", "genre", "key", "emotion", "mood", "instrument", "tempo", "era")
MACHINE = environment("cpu")
WORK = ("plain", "report", "leaderboard")
Made = tuple[Record, pl.DataFrame | None, dict[str, HeldOut] | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=5_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--no-ranks", action="store_true", help="records as those of schema version 2")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--child", nargs=2, metavar=("WHO", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        measured_process.report(lambda: work(arguments.child[0], Path(arguments.child[1])))
        return
    print(machine())
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch) / "records"
        if not folder.exists():
            made = 0
            for record, users, held_out in records(arguments.records):
                write(record, folder, users, None if arguments.no_ranks else held_out)
                made += 1
            print(f"wrote {made:,} records")
        for line in rows(folder, arguments.rounds):
            print(line)


def rows(folder: Path, rounds: int = 1) -> Iterator[str]:
    """Yield a line for each kind of work, in its best round."""
    best: dict[str, dict[str, Any]] = {}
    for who in WORK * rounds:
        found = measured_process.run(__file__, who, str(folder))
        best[who] = min(best.get(who, found), found, key=lambda row: row["cpu"])
    for who, row in best.items():
        ratio = row["cpu"] / best["plain"]["cpu"]
        yield f"{who:<12} {row['cpu']:7.2f} CPU s {row['peak']:6.2f} GiB  {ratio:5.2f} x plain ({row['files']:,} files)"


def work(who: str, folder: Path) -> dict[str, Any]:
    """Do one kind of work in this process; return the number of files that it read or wrote."""
    if who == "plain":
        return {"files": plain(folder)}
    from bench.cli import main as run

    with tempfile.TemporaryDirectory() as out, open(os.devnull, "w") as nowhere:
        words = [who, str(folder), "--out", out, *(["--no-plots"] if who == "report" else [])]
        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            if run(words):
                sys.exit(f"bench {who} failed")
        return {"files": sum(1 for _ in Path(out).iterdir())}


def plain(folder: Path) -> int:
    """Read and hash every file once, with the standard library and polars."""
    files = 0
    for path in sorted(folder.rglob("*.json")):
        content = path.read_bytes()
        hashlib.sha256(content).digest()
        json.loads(content)
        there = [rows for kind in ("users", "ranks") if (rows := path.with_suffix(f".{kind}.parquet")).exists()]
        for rows in there:
            hashlib.sha256(rows.read_bytes()).digest()
            pl.read_parquet(rows)
        files += 1 + len(there)
    return files


def records(number: int) -> Iterator[Made]:
    """Yield about `number` records with their rows; a tenth are probes."""
    cells = len(DATA) * len(LANES) * sum(SEEDS.values())
    embeddings = max(2, round(0.9 * number / cells))
    for (data, lane), at in product(product(DATA, LANES), range(embeddings)):
        for model, seeds in SEEDS.items():
            yield from (recommended(*data, lane, at, model, seed) for seed in range(seeds))
    for lane, at, task in product(LANES, range(embeddings), TASKS):
        yield probed(lane, at, task), None, None


def recommended(data: str, split: str, lane: Any, at: int, model: str, seed: int) -> Made:
    """Return the record of a recommender, values of every user, and ranks; one user is as easy for all models."""
    key = hashlib.sha256(f"{data} {split} {lane} {at} {model} {seed}".encode()).hexdigest()
    rng = np.random.default_rng(int(key[:12], 16))
    names = [f"listener-{user:05d}" for user in range(max(USERS.values()))]
    fields: dict[str, Any] = {name: {} for name in ("metrics", "intervals", "chance", "beyond")}
    frames = []
    held_out: dict[str, HeldOut] = {}
    for where, users in USERS.items():
        ease = np.random.default_rng(len(where)).beta(1, 8, users)
        places = (0.3 + 0.02 * (at % 20)) / np.log2(np.arange(2, KS[-1] + 2))
        sizes = np.random.default_rng(users).integers(5, 30, users)
        held_out[where] = held(rng.random((users, KS[-1])) < ease[:, None] * places, sizes, names[:users], where, rng)
        values = values_of(hits_of(held_out[where], KS[-1])[0], KS)
        fields["metrics"][where] = {name: float(column.mean()) for name, column in values.items()}
        fields["intervals"][where] = {name: tuple(span) for name, span in bootstrap(values, resamples=200).items()}
        fields["chance"][where] = chance(np.full(users, CANDIDATES[where]), sizes, KS)
        fields["beyond"][where] = {f"{name}@{k}": rng.random() for name in ("coverage", "gini", "novelty") for k in KS}
        columns = {"candidates": [where] * users, "user": names[:users], "relevant": sizes.astype(np.int32)}
        frames.append(pl.DataFrame({**columns, **values}))
    made = Record(
        kind="run",
        asked={},
        inputs_sha256=key,
        data=DataInfo(data, False, {}),
        split=SplitInfo(split, {}, hashlib.sha256(f"{data} {split}".encode()).hexdigest(), {}),
        extractor=extractor(at, lane),
        recommender=RecommenderInfo(model, model, lane, {}, deterministic=SEEDS[model] == 1),
        lane=lane,
        seed=seed,
        k=KS,
        control=at == 0,
        users=USERS,
        candidates=CANDIDATES,
        environment=MACHINE,
        **fields,
    )
    return made, pl.concat(frames), held_out


def held(hit: Any, sizes: Any, names: list[str], where: str, rng: np.random.Generator) -> HeldOut:
    """Return the ranks of every user's held-out items, which are the same for all models; `hit` (U, K) are those found.

    There are as many items as candidates, eight by each artist.
    """
    n = CANDIDATES[where]
    theirs = np.random.default_rng(n)
    ranks, items = [], []
    for row, size in zip(hit, sizes.tolist(), strict=True):
        found = np.flatnonzero(row)[:size] + 1
        rest = KS[-1] + 1 + rng.choice(n - KS[-1], size - len(found), replace=False)
        ranks.append(np.concatenate([found, np.sort(rest)]))
        items.append(rng.permutation(theirs.choice(n, size, replace=False)))
    item = np.concatenate(items).astype(np.int32)
    return HeldOut(
        listeners=pl.Series(names),
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        items=pl.Series([f"track-{at:05d}" for at in range(n)]),
        item=item,
        artists=pl.Series([f"artist-{at:04d}" for at in range(-(-n // 8))]),
        artist=item // 8,
        rank=np.concatenate(ranks).astype(np.int32),
    )


def probed(lane: Any, at: int, task: str) -> Record:
    """Return the record of a probe."""
    key = hashlib.sha256(f"{lane} {at} {task}".encode()).hexdigest()
    value = 0.5 + int(key[:4], 16) / 2**18
    return Record(
        kind="probe",
        asked={},
        inputs_sha256=key,
        data=DataInfo(task, False, {}, collection=task, task=TaskInfo(task, task, "roc_auc", "tags", "counts macro")),
        split=SplitInfo("official", {}, hashlib.sha256(task.encode()).hexdigest(), {}),
        extractor=extractor(at, lane),
        recommender=RecommenderInfo("quick", "quick", lane, {}),
        lane=lane,
        seed=0,
        k=(),
        control=at == 0,
        metrics={"test": {"roc_auc": value, **{f"roc_auc:tag-{tag}": value for tag in range(50)}}},
        intervals={"test": {"roc_auc": (value - 0.02, value + 0.02)}},
        chance={"test": {"roc_auc": 0.5}},
        users={"test": 400},
        candidates={"test": 50},
        environment=MACHINE,
    )


def extractor(at: int, lane: Any) -> ExtractorInfo:
    """Return one embedding; the first is a control."""
    name = f"model-{at}" if at else "random"
    return ExtractorInfo(name, name, lane, View((None,), ""), [{"n": at}], 128, 1.0, "0" * 64, trained_on=())


if __name__ == "__main__":
    main()
