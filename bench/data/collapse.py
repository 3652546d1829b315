"""Plays into pairs: one row per (user, item) with the few numbers a temporal split asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.data.kinds import SplitSettings
from bench.data.tables import Damage
from bench.data.temporal import Bounds, seconds
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


def survey(listens: pl.LazyFrame, settings: SplitSettings) -> Survey:
    """Read a log (user, item, time) once.

    Raises
    ------
    BenchError
        A column is missing or of another type, a value is null, or there are no plays.

    """
    time = pl.col("time")
    start = -(2**62) if settings.start is None else seconds(settings.start, "start")
    end = 2**62 if settings.end is None else seconds(settings.end, "end")
    log = whole_seconds(listens)
    # Grouped, and ids apart: distinct values beside other sums would hold the whole log in memory.
    users = _collect(
        log.group_by("user").agg(
            plays=pl.len(),
            first=time.min(),
            last=time.max(),
            before=(time < start).sum(),
            after=(time >= end).sum(),
            nulls=pl.col("item").null_count() + time.null_count(),
        )
    )
    total = pl.col("plays", "before", "after", "nulls").cast(pl.Int64).sum()
    nobody = pl.col("plays").filter(pl.col("user").is_null()).sum().cast(pl.Int64).alias("nobody")
    row: dict[str, Any] = users.select(total, pl.col("first").min(), pl.col("last").max(), nobody).row(0, named=True)
    if nulls := row.pop("nulls") + row.pop("nobody"):
        raise BenchError(
            f"the listening log has {nulls} missing or unreadable values. Check the file first "
            "(bench.data.listens.check names the line)."
        )
    if not row["plays"]:
        raise BenchError("the listening log has no plays.")
    items = _collect(log.select("item").unique())
    return Survey(users["user"].sort(), items["item"].sort(), **row)


def collapse(listens: pl.LazyFrame, log: Survey, bounds: Bounds, *, look_back: bool) -> Pairs:
    """Read a log (user, item, time) once more and collapse it to pairs.

    Groups are keyed by one integer made of both codes: half the time and memory of grouping by two texts.
    Times are kept as seconds since the log's first play, in 32 bits unless it spans 68 years.
    With `look_back` plays before the window are looked at too, for `Pairs.heard` alone.
    """
    start, trained, cut, end = bounds
    time, width = pl.col("time"), len(log.items)
    code = {name: pl.col(name).cast(pl.Enum(ids)).to_physical().cast(pl.UInt64) for name, ids in _ids(log)}
    plays = whole_seconds(listens).filter(time < end)
    if not look_back:
        plays = plays.filter(time >= start)
    since = (time - log.first).cast(pl.Int32 if log.last - log.first < 2**31 else pl.Int64)
    within = pl.when(time >= start).then(since) if look_back else since
    periods = {"train": trained, "valid": cut} if trained < cut else {"train": trained}
    keyed = plays.select(
        pair=code["user"] * width + code["item"],
        ever=since,
        all=within,
        **{name: pl.when(time < until).then(within) for name, until in periods.items()},
    )
    names = ("all", *periods)
    grouped = _collect(
        keyed.group_by("pair").agg(
            *([pl.col("ever").min()] if look_back else []),
            pl.col("all").min().alias("first"),
            *(pl.col(name).max().alias(f"last_{name}") for name in names),
            *(pl.col(name).count().cast(pl.UInt32).alias(f"count_{name}") for name in names),
        )
    )
    if look_back:
        grouped = grouped.filter(pl.col("first").is_not_null())
    # A pair has no play before the period it begins in: the first period that counts any is its own.
    own = [*periods, "all"]
    last = pl.coalesce(f"last_{name}" for name in own)
    count = pl.coalesce(pl.col(f"count_{name}").replace(0, None) for name in own)
    # One name for both, so that the wider frame goes at once: a long log is remembered by its pairs.
    ever = "ever" if look_back else "first"
    grouped = grouped.select(
        "pair", "first", heard=pl.col(ever) < start - log.first, last=last, count=count, plays="count_all"
    )
    heard = grouped.drop_in_place("heard").to_numpy()
    user, item = np.divmod(grouped.drop_in_place("pair").to_numpy().view(np.int64), width)
    columns = {
        name: grouped.drop_in_place(name).to_numpy().astype(np.int64) for name in ("first", "last", "count", "plays")
    }
    for name in ("first", "last"):
        columns[name] += log.first
    return Pairs(user, item, heard=heard, **columns)


def _ids(log: Survey) -> tuple[tuple[str, pl.Series], ...]:
    return ("user", log.users), ("item", log.items)


def whole_seconds(listens: pl.LazyFrame) -> pl.LazyFrame:
    """Return a log with ids as text and times as whole seconds since 1970 (Int64, rounded down)."""
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
