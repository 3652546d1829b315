"""A large text log turned into Parquet once: read in blocks, checked, written as it goes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from bench.errors import BenchError
from bench.files.atomic import canonical_json, whole, write_text
from bench.listening.plays import EARLIEST, LATEST, as_plays, diagnose, no_id, report
from bench.listening.text_table import Damage, Table, open_table
from bench.listening.times import iso

LISTENS, TRACKS, COUNTS = "listens.parquet", "tracks.parquet", "counts.json"
TELL_SECONDS = 15
"""Between two lines of progress."""


@dataclass(frozen=True)
class Log:
    """A text log as it lies on disk.

    columns : the file's column for user, item and time
    names : all its columns, tab-separated, when it has no header line
    about : columns that describe the item, by what they become; kept once an item, from its first play
    drop_without_item : plays without an item id are left out and counted; otherwise they are an error
    remedy : what to do about a line that is wrong, for messages
    """

    path: Path
    columns: Mapping[str, str]
    names: Sequence[str] | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    drop_without_item: bool = False
    remedy: str = "Compare the file with its source, or get it again."

    def key(self) -> dict[str, Any]:
        """Return what changes the result, beside the content of the file."""
        return {
            "format": 1,
            "columns": dict(self.columns),
            "names": list(self.names or ()),
            "about": dict(self.about),
            "drop_without_item": self.drop_without_item,
        }


def converted(log: Log, folder: Path) -> dict[str, Any]:
    """Return what is noted of the conversion in `folder`, which is made first if it is not there.

    `folder` then holds ``listens.parquet`` (user, item: str; time: s since 1970, rounded down; rows as in
    the file; `scan` reads it), with `Log.about` ``tracks.parquet`` (track_id and the rest, str), and
    ``counts.json``: plays, blank (lines), without_item, first, last. Memory stays below 2 GiB whatever the
    size of the log.

    Raises
    ------
    BenchError
        A line that is broken; an id or a time that is missing, unreadable or absurd: it names the file, the
        line, the value and what was expected. Or the folder cannot be written.

    """
    if (known := noted(folder)) is None:
        _convert(log, folder)
        known = noted(folder)
    assert known is not None
    return known


def noted(folder: Path) -> dict[str, Any] | None:
    """Return ``counts.json`` of a finished conversion, or None."""
    try:
        known: dict[str, Any] = json.loads((folder / COUNTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known


def scan(folder: Path) -> pl.LazyFrame:
    """Return the plays of a converted log, lazily: user, item (str), time (Datetime('us', 'UTC'))."""
    time = pl.from_epoch("time", time_unit="s").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.scan_parquet(folder / LISTENS, glob=False).with_columns(time)


def _convert(log: Log, folder: Path) -> None:
    table = open_table(log.path, log.names)
    if table.separator is None:
        raise BenchError(f"{log.path} is Parquet; expected text. Read it with --listens {log.path}.")
    if missing := [name for name in (*log.columns.values(), *log.about.values()) if name not in table.schema]:
        raise BenchError(
            f"{log.path}: no column {', '.join(missing)}; its columns are {', '.join(table.schema)}. {log.remedy}"
        )
    counts = _Counts()
    tell(f"converting {log.path} ({log.path.stat().st_size / 1e6:,.0f} MB) once, into {folder}")
    about: list[pl.DataFrame] = []
    with whole(folder / LISTENS) as temporary:
        _write((_noted(part, counts, about) for part in _checked(table, log, counts)), temporary)
    if not counts.plays:
        (folder / LISTENS).unlink()
        raise BenchError(f"{log.path} holds no plays. {log.remedy}")
    if log.about:
        with whole(folder / TRACKS) as temporary:
            pl.concat(about).rename({"item": "track_id"}).write_parquet(temporary)
    write_text(folder / COUNTS, canonical_json(counts.as_json()))
    tell(f"  done: {counts.plays:,} plays")


@dataclass
class _Counts:
    plays: int = 0
    blank: int = 0
    without_item: int = 0
    first: int = 2**62
    last: int = -(2**62)
    told: float = field(default_factory=time.monotonic)

    def as_json(self) -> dict[str, Any]:
        whole = {name: getattr(self, name) for name in ("plays", "blank", "without_item")}
        return whole | {name: iso(getattr(self, name) // 1_000_000) for name in ("first", "last")}


def _checked(table: Table, log: Log, counts: _Counts) -> Iterator[pl.DataFrame]:
    """Yield the plays of a log in the order of the file, with the columns about items."""
    row = 0
    parts = table.parts()
    while True:
        try:
            part = next(parts, None)
        except Damage as error:
            diagnose(table, error)
        if part is None:
            return
        here = replace(table, frame=part.lazy(), first_line=table.first_line + row)
        plays = as_plays(here, log.columns).collect()
        full = ~pl.col("blank")
        wrong = full & (no_id("user") | pl.col("time").is_null())
        if not log.drop_without_item:
            wrong |= full & no_id("item")
        absurd = (pl.col("time") < EARLIEST) | (pl.col("time") >= LATEST)
        found = plays.select(
            wrong=wrong.any(),
            absurd=absurd.any(),
            blank=pl.col("blank").sum(),
            without_item=(full & no_id("item")).sum(),
        ).row(0, named=True)
        if found["wrong"]:
            report(here, log.columns, wrong, None, log.remedy)
        if found["absurd"]:
            report(here, log.columns, absurd, "a time between 1900 and 2200", log.remedy)
        counts.blank += found["blank"]
        counts.without_item += found["without_item"]
        row += part.height
        about = part.select(**{name: pl.col(column) for name, column in log.about.items()})
        if log.about:
            plays = pl.concat([plays, about], how="horizontal")
        yield plays.filter(full & ~no_id("item")).drop("blank")


def _noted(part: pl.DataFrame, counts: _Counts, about: list[pl.DataFrame]) -> pl.DataFrame:
    """Count a part, keep what it says about items not met before, and return its plays."""
    if part.height:
        counts.plays += part.height
        span = part.select(first=pl.col("time").min(), last=pl.col("time").max()).cast(pl.Int64).row(0)
        counts.first, counts.last = min(counts.first, span[0]), max(counts.last, span[1])
    if (now := time.monotonic()) - counts.told > TELL_SECONDS:
        counts.told = now
        tell(f"  {counts.plays:,} plays")
    if part.width > 3:
        fresh = part.drop("user", "time").unique("item", keep="first", maintain_order=True)
        if about:
            fresh = fresh.join(about[0].select("item"), on="item", how="anti", maintain_order="left")
            fresh = pl.concat([about[0], fresh])
        about[:] = [fresh]
    return part.select("user", "item", "time")


def _write(parts: Iterator[pl.DataFrame], path: Path) -> None:
    """Write parts as they come, one row group each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("user", pa.large_string()), ("item", pa.large_string()), ("time", pa.int64())])
    # Ids repeat: a dictionary as large as the catalogue keeps them small. Times of one user are near each other.
    how = {"use_dictionary": ["user", "item"], "column_encoding": {"time": "DELTA_BINARY_PACKED"}}
    with pq.ParquetWriter(path, schema, compression="zstd", dictionary_pagesize_limit=1 << 26, **how) as writer:
        for part in parts:
            part = part.with_columns(pl.col("time").dt.timestamp("us") // 1_000_000)
            arrow = part.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)
            writer.write_table(arrow, row_group_size=max(part.height, 1))


def tell(line: str) -> None:
    """Say on the error stream what takes time."""
    print(line, file=sys.stderr, flush=True)
