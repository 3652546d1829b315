"""Plays into pairs: one row per (user, item) with the few numbers a temporal split asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.data.tables import Damage
from bench.data.temporal import Bounds, GlobalTemporal, seconds
from bench.errors import BenchError

PLAY = {"user": "text", "item": "text", "time": "a datetime"}


@dataclass(frozen=True, eq=False)
class Survey:
    """What one look at a log tells: its ids (sorted as text), its span, its plays outside the window."""

    users: pl.Series
    items: pl.Series
    plays: int
    first: int
    last: int
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """One row (P,) per pair played in [start, end), in no particular order; codes index a `Survey`.

    `last` and `count` cover the plays of the pair's own period only: training, validation or test.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    count: NDArray[np.int64]
    plays: NDArray[np.int64]
    """All plays in [start, end)."""
    heard: NDArray[np.bool_]
    """Played before `start` already; all False unless the settings look there."""


def survey(listens: pl.LazyFrame, settings: GlobalTemporal) -> Survey:
    """Read a log (user, item, time) once.

    Raises
    ------
    BenchError
        A column is missing or of another type, a value is null, or there are no plays.

    """
    time = pl.col("time")
    start = None if settings.start is None else seconds(settings.start, "start")
    end = None if settings.end is None else seconds(settings.end, "end")
    found = _collect(
        _whole_seconds(listens).select(
            users=pl.col("user").unique().implode(),
            items=pl.col("item").unique().implode(),
            plays=pl.len(),
            first=time.min(),
            last=time.max(),
            before=pl.lit(0) if start is None else (time < start).sum(),
            after=pl.lit(0) if end is None else (time >= end).sum(),
            nulls=sum((pl.col(name).null_count() for name in PLAY), start=pl.lit(0)),
        )
    )
    row: dict[str, Any] = found.row(0, named=True)
    if row["nulls"]:
        raise BenchError(
            f"the listening log has {row['nulls']} missing or unreadable values. Check the file first "
            "(bench.data.listens.check names the line)."
        )
    if not row["plays"]:
        raise BenchError("the listening log has no plays.")
    numbers = {name: row[name] for name in ("plays", "first", "last", "before", "after")}
    return Survey(found["users"][0].sort(), found["items"][0].sort(), **numbers)


def collapse(listens: pl.LazyFrame, log: Survey, bounds: Bounds, *, look_back: bool) -> Pairs:
    """Read a log (user, item, time) once more and collapse it to pairs.

    Groups are keyed by one integer made of both codes: half the time and memory of grouping by two texts.
    With `look_back` plays before the window are looked at too, for `Pairs.heard` alone.
    """
    start, trained, cut, end = bounds
    time, width = pl.col("time"), len(log.items)
    code = {name: pl.col(name).cast(pl.Enum(ids)).to_physical().cast(pl.UInt64) for name, ids in _ids(log)}
    plays = _whole_seconds(listens).filter(time < end)
    if not look_back:
        plays = plays.filter(time >= start)
    within = pl.when(time >= start).then(time) if look_back else time
    periods = {"train": trained, "valid": cut} if trained < cut else {"train": trained}
    keyed = plays.select(
        "time",
        pair=code["user"] * width + code["item"],
        all=within,
        **{name: pl.when(within < until).then(within) for name, until in periods.items()},
    )
    names = ("all", *periods)
    grouped = _collect(
        keyed.group_by("pair").agg(
            pl.col("time").min().alias("ever"),
            pl.col("all").min().alias("first"),
            *(pl.col(name).max().alias(f"last_{name}") for name in names),
            *(pl.col(name).count().cast(pl.Int64).alias(f"count_{name}") for name in names),
        )
    ).filter(pl.col("first").is_not_null())
    # A pair has no play before the period it begins in: the first period that counts any is its own.
    own = [*periods, "all"]
    last = pl.coalesce(f"last_{name}" for name in own)
    count = pl.coalesce(pl.col(f"count_{name}").replace(0, None) for name in own)
    pairs = grouped.select("pair", "first", "ever", last=last, count=count, plays="count_all")
    pair = pairs["pair"].to_numpy().astype(np.int64)
    columns = {name: pairs[name].to_numpy() for name in ("first", "last", "count", "plays")}
    heard = pairs["ever"].to_numpy() < start
    return Pairs(pair // width, pair % width, heard=heard, **columns)


def _ids(log: Survey) -> tuple[tuple[str, pl.Series], ...]:
    return ("user", log.users), ("item", log.items)


def _whole_seconds(listens: pl.LazyFrame) -> pl.LazyFrame:
    """Ids as text and times as whole seconds since 1970 (Int64, rounded down)."""
    schema = listens.collect_schema()
    missing = [name for name in PLAY if name not in schema]
    if missing or not isinstance(schema["time"], pl.Datetime):
        raise BenchError(
            f"a listening log needs {', '.join(f'{name} ({kind})' for name, kind in PLAY.items())}; got {dict(schema)}."
        )
    time = pl.col("time").dt.timestamp("us") // 1_000_000
    return listens.select(pl.col("user", "item").cast(pl.String), time)


def _collect(frame: pl.LazyFrame) -> pl.DataFrame:
    try:
        return frame.collect(engine="streaming")
    except Damage as error:
        raise BenchError(
            f"the listening log cannot be read ({error}). Check the file first "
            "(bench.data.listens.check names the line)."
        ) from error
