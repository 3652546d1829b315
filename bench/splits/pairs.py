"""Aggregate plays to pairs: one row per (user, item) with the values that a split needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.listening.text_table import Damage
from bench.splits.outlying import Outlying, may_have, outlying
from bench.splits.settings import SplitSettings
from bench.splits.temporal import Bounds, seconds

SORTED = 2**27
"""Most plays to sort in memory: 8 bytes each, and 8 more while they are grouped into pairs."""

COUNT = "count"
"""Column of a log without times: how many plays a row stands for."""

PLAY = {"user": "text or integers", "item": "text or integers", "time": "a datetime"}


@dataclass(frozen=True, eq=False)
class LogSummary:
    """Ids of a log (sorted as text), its n_plays of plays, and its first and last play (s since 1970).

    `before` and `after` count plays before the start and from the end of the split's window on.
    """

    users: pl.Series
    items: pl.Series
    plays: int
    first: int
    last: int
    before: int
    after: int
    outlying: tuple[Outlying, ...] = ()
    """Plays in the window that are years away from all others."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Arrays (P,) with one row per pair played in [start, end), unsorted; codes index a `LogSummary`.

    `last` and `count` cover only the plays of the pair's own period: training, validation or test.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    count: NDArray[np.int32]
    plays: NDArray[np.int32]
    """All plays in [start, end)."""
    played_before: NDArray[np.bool_]
    """Whether the pair was played before `start`; always False unless `collapse` was called with `look_back`."""


def summarize(listens: pl.LazyFrame, settings: SplitSettings) -> LogSummary:
    """Read a log (user, item, time) once and summarize it; ids that are integers become text.

    Raises
    ------
    BenchError
        A column is missing or of another type, a value is null, or there are no plays.

    """
    time = pl.col("time")
    start = -(2**62) if settings.start is None else seconds(settings.start, "start")
    end = 2**62 if settings.end is None else seconds(settings.end, "end")
    log = _as_stored(listens)
    # Two queries: counting distinct items in the first one would hold the complete log in memory.
    users = _collect(
        log.group_by("user").agg(
            plays=pl.len() if COUNT not in log.collect_schema() else pl.col(COUNT).sum(),
            first=time.min(),
            last=time.max(),
            before=(time < start).sum(),
            after=(time >= end).sum(),
            nulls=pl.col("item").null_count() + time.null_count(),
        )
    )
    total = pl.col("plays", "before", "after", "nulls").cast(pl.Int64).sum()
    no_user = pl.col("plays").filter(pl.col("user").is_null()).sum().cast(pl.Int64).alias("no_user")
    row: dict[str, Any] = users.select(total, pl.col("first").min(), pl.col("last").max(), no_user).row(0, named=True)
    if nulls := row.pop("nulls") + row.pop("no_user"):
        raise BenchError(
            f"the listening log has {nulls} missing or unreadable values. "
            "bench.listening.log_dataset.check reports the line of the first one."
        )
    if not row["plays"]:
        raise BenchError("the listening log has no plays.")
    items = _collect(log.select("item").unique())
    far: list[Outlying] = []
    within = row["plays"] - row["before"] - row["after"]
    if may_have(users["first"].to_numpy(), users["last"].to_numpy(), within):
        far = outlying(whole_seconds(listens).filter((time >= start) & (time < end)), within)
    user, item = users["user"].cast(pl.String).sort(), items["item"].cast(pl.String).sort()
    return LogSummary(user, item, **row, outlying=tuple(far))


def collapse(listens: pl.LazyFrame, log: LogSummary, bounds: Bounds, *, look_back: bool) -> Pairs:
    """Read a log (user, item, time) once more and aggregate it to pairs.

    With `look_back`, plays before the window are read, too; they only set `Pairs.played_before`.

    Each play becomes one integer of 64 bits: the pair in the high bits, seconds since the log's first play
    in the low bits. Sorting these in place orders the plays by pair and time, with 8 bytes a play. If they do
    not fit (too many users x items x seconds, or more than `SORTED` plays), the log is grouped as it is read.
    """
    start, _, _, end = bounds
    time, width = pl.col("time"), len(log.items)
    plays = _as_stored(listens).filter(time < end)
    if not look_back:
        plays = plays.filter(time >= start)
    if COUNT in plays.collect_schema():
        return _counted(plays, log)
    plays = _coded(_coded(plays, "user", log.users), "item", log.items)
    pair, since = pl.col("user") * width + pl.col("item"), time - log.first
    bits = (log.last - log.first).bit_length()
    n_plays = log.plays - log.after - (0 if look_back else log.before)
    if n_plays > SORTED or bits > 31 or (len(log.users) * width).bit_length() + bits > 64:
        return _grouped(plays.select(pair=pair, since=since), log, bounds, look_back=look_back)
    packed = _collect(plays.select(play=pair * 2**bits + since.cast(pl.UInt64)))
    return _sorted(packed.drop_in_place("play").to_numpy(writable=True), bits, log, bounds)


def _counted(plays: pl.LazyFrame, log: LogSummary) -> Pairs:
    """Aggregate rows that stand for several plays each, of a log without times, to pairs."""
    if log.first != log.last:
        raise BenchError(f"the listening log has a column {COUNT!r} and times; a log with counts must have one time.")
    plays = _coded(_coded(plays, "user", log.users), "item", log.items)
    found = _collect(plays.group_by("user", "item").agg(pl.col(COUNT).sum()))
    user, item, count = (found[name].to_numpy().astype(np.int32) for name in ("user", "item", COUNT))
    when = np.full(len(found), log.first, dtype=np.int64)
    return Pairs(user, item, when, when.copy(), count, count, np.zeros(len(found), dtype=np.bool_))


def _sorted(packed: NDArray[np.uint64], bits: int, log: LogSummary, bounds: Bounds) -> Pairs:
    """Aggregate packed plays (N,) to pairs; sorts them in place."""
    packed.sort()
    since = packed.astype(np.uint32)  # drops the high bits
    since &= np.uint32(2**bits - 1)
    since = since.view(np.int32)
    packed >>= np.uint64(bits)
    early = since < bounds.start - log.first
    before = packed[early]
    if len(before):
        since, packed = since[~early], packed[~early]
    # Rows where a new pair begins, and rows where a new pair or a new period of the same pair begins.
    new_pair = np.ones(len(packed), dtype=np.bool_)
    np.not_equal(packed[1:], packed[:-1], out=new_pair[1:])
    pair = packed[new_pair]
    del packed, early
    new_period = new_pair.copy()
    for bound in {bounds.trained, bounds.cut}:
        later = since >= bound - log.first
        new_period[1:] |= later[1:] != later[:-1]
    starts = np.flatnonzero(new_period).astype(np.int32)
    own = np.flatnonzero(new_pair[starts])
    del new_pair, new_period, later
    ends = np.append(starts, np.int32(len(since)))[own + 1]
    starts = starts[own]
    del own
    count, plays = ends - starts, np.diff(starts, append=np.int32(len(since)))
    first, last = since[starts], since[ends - 1]
    del since, starts, ends
    at = np.searchsorted(before, pair)
    played_before = at < len(before)
    played_before[played_before] = before[at[played_before]] == pair[played_before]
    del at
    user, item = _user_item(pair.view(np.int64), len(log.items))
    return Pairs(user, item, first + np.int64(log.first), last + np.int64(log.first), count, plays, played_before)


def _user_item(pair: NDArray[np.int64], width: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    user = (pair // width).astype(np.int32)
    return user, (pair - user * np.int64(width)).astype(np.int32)


def _grouped(plays: pl.LazyFrame, log: LogSummary, bounds: Bounds, *, look_back: bool) -> Pairs:
    """Aggregate plays (pair, since) to pairs with a streamed group-by: memory grows with the pairs only.

    Times take 32 bits unless the log spans 68 years or more.
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
    # A pair belongs to the period of its first play: the first period with a count above zero.
    own = [*periods, "all"]
    own_last = pl.coalesce(f"last_{name}" for name in own)
    own_count = pl.coalesce(pl.col(f"count_{name}").replace(0, None) for name in own)
    # Assigned to the same name, so that the wider frame is freed immediately.
    found = found.select(
        "pair",
        "first",
        played_before=pl.col("ever" if look_back else "first") < start,
        last=own_last,
        count=own_count,
        plays="count_all",
    )
    user, item = _user_item(found.drop_in_place("pair").to_numpy().view(np.int64), len(log.items))
    first, last = (found.drop_in_place(name).to_numpy() + np.int64(log.first) for name in ("first", "last"))
    return Pairs(user, item, first, last, *(found[name].to_numpy() for name in ("count", "plays", "played_before")))


def _coded(plays: pl.LazyFrame, name: str, ids: pl.Series) -> pl.LazyFrame:
    """Replace a column of ids by their places among `ids` (UInt64); the order of rows may change."""
    dtype = plays.collect_schema()[name]
    if not dtype.is_integer():
        return plays.with_columns(pl.col(name).cast(pl.Enum(ids)).to_physical().cast(pl.UInt64))
    # A join of integers takes a quarter of the time of their text's cast to an Enum.
    codes = pl.LazyFrame({name: ids.cast(dtype), "code": pl.int_range(len(ids), dtype=pl.UInt64, eager=True)})
    return plays.join(codes, on=name).drop(name).rename({"code": name})


def whole_seconds(listens: pl.LazyFrame) -> pl.LazyFrame:
    """Return a log with ids as text and times as whole seconds since 1970 (Int64, rounded down)."""
    return _as_stored(listens).with_columns(pl.col("user", "item").cast(pl.String))


def _as_stored(listens: pl.LazyFrame) -> pl.LazyFrame:
    """Return a log as `whole_seconds` does, but with integers as they are, which are grouped and joined faster."""
    schema = listens.collect_schema()
    missing = [name for name in PLAY if name not in schema]
    if missing or not isinstance(schema["time"], pl.Datetime):
        raise BenchError(
            f"a listening log needs {', '.join(f'{name} ({kind})' for name, kind in PLAY.items())}; got {dict(schema)}."
        )
    time = pl.col("time").dt.timestamp("us") // 1_000_000
    ids = (pl.col(name) if schema[name].is_integer() else pl.col(name).cast(pl.String) for name in ("user", "item"))
    return listens.select(*ids, time, *(pl.col(name) for name in (COUNT,) if name in schema))


def _collect(frame: pl.LazyFrame) -> pl.DataFrame:
    try:
        return frame.collect(engine="streaming")
    except Damage as error:
        raise BenchError(
            f"the listening log cannot be read ({error}). bench.listening.log_dataset.check reports the broken line."
        ) from error
