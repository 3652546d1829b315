"""Plays into pairs: one row per (user, item) with the few numbers a temporal split asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.listening.text_table import Damage
from bench.splits.settings import SplitSettings
from bench.splits.temporal import Bounds, seconds

SORTED = 2**27
"""Plays that are sorted in memory: 8 bytes each, and as many while they are cut up."""

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

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    count: NDArray[np.int32]
    plays: NDArray[np.int32]
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
            "(bench.listening.log_dataset.check names the line)."
        )
    if not row["plays"]:
        raise BenchError("the listening log has no plays.")
    items = _collect(log.select("item").unique())
    return Survey(users["user"].sort(), items["item"].sort(), **row)


def collapse(listens: pl.LazyFrame, log: Survey, bounds: Bounds, *, look_back: bool) -> Pairs:
    """Read a log (user, item, time) once more and collapse it to pairs.

    With `look_back` plays before the window are looked at too, for `Pairs.heard` alone.

    A play is one integer of 64 bits: its pair above, seconds since the log's first play below. One sort in
    place then brings a pair's plays together in the order of time, in 8 bytes a play. Where that does not
    fit (too many users x items x seconds, or more than `SORTED` plays) the log is grouped as it is read.
    """
    start, _, _, end = bounds
    time, width = pl.col("time"), len(log.items)
    code = {name: pl.col(name).cast(pl.Enum(ids)).to_physical().cast(pl.UInt64) for name, ids in _ids(log)}
    pair, since = code["user"] * width + code["item"], time - log.first
    plays = whole_seconds(listens).filter(time < end)
    if not look_back:
        plays = plays.filter(time >= start)
    bits = (log.last - log.first).bit_length()
    number = log.plays - log.after - (0 if look_back else log.before)
    if number > SORTED or bits > 31 or (len(log.users) * width).bit_length() + bits > 64:
        return _grouped(plays.select(pair=pair, since=since), log, bounds, look_back=look_back)
    packed = _collect(plays.select(play=pair * 2**bits + since.cast(pl.UInt64)))
    return _sorted(packed.drop_in_place("play").to_numpy(writable=True), bits, log, bounds)


def _sorted(packed: NDArray[np.uint64], bits: int, log: Survey, bounds: Bounds) -> Pairs:
    """Collapse packed plays (N,), sorting them in place."""
    packed.sort()
    since = packed.astype(np.uint32)  # drops what lies above
    since &= np.uint32(2**bits - 1)
    since = since.view(np.int32)
    packed >>= np.uint64(bits)
    early = since < bounds.start - log.first
    before = packed[early]
    if len(before):
        since, packed = since[~early], packed[~early]
    # Where another pair begins, and where another period begins within a pair.
    opens = np.ones(len(packed), dtype=np.bool_)
    np.not_equal(packed[1:], packed[:-1], out=opens[1:])
    pair = packed[opens]
    del packed, early
    turns = opens.copy()
    for bound in {bounds.trained, bounds.cut}:
        later = since >= bound - log.first
        turns[1:] |= later[1:] != later[:-1]
    starts = np.flatnonzero(turns).astype(np.int32)
    own = np.flatnonzero(opens[starts])
    del opens, turns, later
    ends = np.append(starts, np.int32(len(since)))[own + 1]
    starts = starts[own]
    del own
    count, plays = ends - starts, np.diff(starts, append=np.int32(len(since)))
    first, last = since[starts], since[ends - 1]
    del since, starts, ends
    at = np.searchsorted(before, pair)
    heard = at < len(before)
    heard[heard] = before[at[heard]] == pair[heard]
    del at
    user, item = _user_item(pair.view(np.int64), len(log.items))
    return Pairs(user, item, first + np.int64(log.first), last + np.int64(log.first), count, plays, heard)


def _user_item(pair: NDArray[np.int64], width: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    user = (pair // width).astype(np.int32)
    return user, (pair - user * np.int64(width)).astype(np.int32)


def _grouped(plays: pl.LazyFrame, log: Survey, bounds: Bounds, *, look_back: bool) -> Pairs:
    """Collapse plays (pair, since) to pairs by groups, streamed: memory grows with pairs alone.

    Times are kept in 32 bits unless the log spans 68 years.
    """
    start, trained, cut, _ = (bound - log.first for bound in bounds)
    since = pl.col("since").cast(pl.Int32 if log.last - log.first < 2**31 else pl.Int64)
    within = pl.when(since >= start).then(since) if look_back else since
    periods = {"train": trained, "valid": cut} if trained < cut else {"train": trained}
    keyed = plays.select(
        "pair",
        ever=since,
        all=within,
        **{name: pl.when(since < until).then(within) for name, until in periods.items()},
    )
    names = ("all", *periods)
    found = _collect(
        keyed.group_by("pair").agg(
            *([pl.col("ever").min()] if look_back else []),
            pl.col("all").min().alias("first"),
            *(pl.col(name).max().alias(f"last_{name}") for name in names),
            *(pl.col(name).count().cast(pl.Int32).alias(f"count_{name}") for name in names),
        )
    )
    if look_back:
        found = found.filter(pl.col("first").is_not_null())
    # A pair has no play before the period it begins in: the first period that counts any is its own.
    own = [*periods, "all"]
    own_last = pl.coalesce(f"last_{name}" for name in own)
    own_count = pl.coalesce(pl.col(f"count_{name}").replace(0, None) for name in own)
    # One name for both, so that the wider frame goes at once: a long log is remembered by its pairs.
    found = found.select(
        "pair",
        "first",
        heard=pl.col("ever" if look_back else "first") < start,
        last=own_last,
        count=own_count,
        plays="count_all",
    )
    user, item = _user_item(found.drop_in_place("pair").to_numpy().view(np.int64), len(log.items))
    first, last = (found.drop_in_place(name).to_numpy() + np.int64(log.first) for name in ("first", "last"))
    return Pairs(user, item, first, last, *(found[name].to_numpy() for name in ("count", "plays", "heard")))


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
            "(bench.listening.log_dataset.check names the line)."
        ) from error
