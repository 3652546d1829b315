"""Made-up listening logs for the benchmarks: planted truth in the window, and plays of years before it.

Written as the large public logs are: an integer user, a track id of 16 characters, a time with seconds,
newest first within a user.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from bench.synthetic import START, planted

COLUMNS = {"user": "user_id", "item": "track_id", "time": "timestamp"}
SPLIT = {"start": "2019-02-20", "cut": "2020-02-20", "end": "2020-03-20"}
YEARS_BEFORE = 6


def make(users: int, items: int, plays: int, early: float, seed: int = 0) -> pl.DataFrame:
    """Return user_id (i64), track_id (str), timestamp; a share `early` of the plays lies before the window."""
    rng = np.random.default_rng([seed, 0x10C5])
    within = round(plays * (1 - early))
    world = planted(users, items, 1, seed=seed, plays=within)
    log = world.listens.select(
        pl.col("user").str.slice(1).cast(pl.Int64) * 7 + 3,  # numbers of 1 to 6 digits, not in a row
        pl.col("item").cast(pl.Enum(world.ids)).to_physical(),
        pl.col("time").dt.epoch("s"),
    )
    before = log[rng.integers(0, log.height, plays - within).astype(np.uint32)].select("user", "item")
    past = START - 1 - rng.integers(0, YEARS_BEFORE * 365 * 86_400, before.height)
    log = pl.concat([log, before.with_columns(time=pl.Series(past))])
    del before, past
    names = pl.Series([hashlib.sha256(name.encode()).hexdigest()[:16] for name in world.ids])
    log = log.sort("user", "time", descending=[False, True])
    return log.select(
        user_id="user",
        track_id=names.gather(log["item"]),
        timestamp=pl.from_epoch(log["time"], "s"),
    )


def write(log: pl.DataFrame, folder: Path) -> dict[str, Path]:
    """Write the log as ``plays.tsv`` and ``plays.parquet``; return the paths by kind."""
    paths = {kind: folder / f"plays.{kind}" for kind in ("tsv", "parquet")}
    log.write_csv(paths["tsv"], separator="\t", datetime_format="%Y-%m-%d %H:%M:%S")
    log.write_parquet(paths["parquet"], compression="zstd", compression_level=1)
    return paths
