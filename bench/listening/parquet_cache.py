"""Convert a large text log to Parquet once: the log is read, checked and written block by block."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from bench.errors import BenchError
from bench.files.atomic import canonical_json, whole, write_text
from bench.listening.plays import EARLIEST, LATEST, as_plays, no_id, report
from bench.listening.text_table import Damage, Table, open_table
from bench.listening.times import iso
from bench.terminal import note

LISTENS, TRACKS, COUNTS = "listens.parquet", "tracks.parquet", "counts.json"
PROGRESS_SECONDS = 15
"""Time between two lines of progress."""


@dataclass(frozen=True)
class Log:
    """A text log on disk.

    columns : the file's column for each of user, item and time
    names : names of all tab-separated columns, if the file has no header line
    made : new columns, by name, with the columns that each is made of: their text in lower case, without blanks around
        it, joined with ``||``; missing where one of them is empty
    about : columns that describe the item, by their new name; values come from the item's first play
    drop_without_item : leave out and count plays without an item id; otherwise they are an error
    remedy : advice for error messages about a wrong line
    """

    path: Path
    columns: Mapping[str, str]
    names: Sequence[str] | None = None
    made: Mapping[str, Sequence[str]] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    drop_without_item: bool = False
    remedy: str = "Compare the file with its source, or get it again."

    def open(self) -> Table:
        """Open the file as a table; see `open_table` for the errors raised."""
        return self.with_made(open_table(self.path, self.names))

    def with_made(self, table: Table) -> Table:
        """Add the columns in `made` to a table."""
        made = {name: _joined(columns) for name, columns in self.made.items()}
        return replace(
            table, frame=table.frame.with_columns(**made), schema=table.schema | dict.fromkeys(made, pl.String())
        )

    def key(self) -> dict[str, Any]:
        """Return everything that the converted files depend on, except the content of the log."""
        made = {"made": {name: list(columns) for name, columns in self.made.items()}} if self.made else {}
        return made | {
            "format": 1,
            "columns": dict(self.columns),
            "names": list(self.names or ()),
            "about": dict(self.about),
            "drop_without_item": self.drop_without_item,
        }


def _joined(columns: Sequence[str]) -> pl.Expr:
    texts = [pl.col(name).str.strip_chars().str.to_lowercase() for name in columns]
    filled = pl.all_horizontal((text != "").fill_null(False) for text in texts)
    return pl.when(filled).then(pl.concat_str(texts, separator="||"))


def convert(log: Log, folder: Path) -> dict[str, Any]:
    """Convert a log into `folder`, unless that has been done before, and return ``counts.json``.

    `folder` then holds ``listens.parquet`` (user, item: str; time: s since 1970, rounded down; rows in the
    order of the log; `scan` reads it), ``tracks.parquet`` if `Log.about` is given (track_id and those
    columns, str), and ``counts.json`` (plays, blank (lines), without_item, first, last). Memory stays below
    2 GiB for logs of any size.

    Raises
    ------
    BenchError
        A line is broken, or an id or a time is missing, unreadable or out of range: the message names the
        file, the line, the value and what was expected. Or the folder cannot be written.

    """
    if (counts := read_counts(folder)) is None:
        _convert(log, folder)
        counts = read_counts(folder)
    assert counts is not None
    return counts


def read_counts(folder: Path) -> dict[str, Any] | None:
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
    table = log.open()
    if table.separator is None:
        raise BenchError(f"{log.path} is Parquet; expected text. Read it with --listens {log.path}.")
    if missing := [name for name in (*log.columns.values(), *log.about.values()) if name not in table.schema]:
        raise BenchError(
            f"{log.path}: no column {', '.join(missing)}; its columns are {', '.join(table.schema)}. {log.remedy}"
        )
    counts = _Counts()
    print_progress(f"converting {log.path} ({log.path.stat().st_size / 1e6:,.0f} MB) once, into {folder}")
    about: list[pl.DataFrame] = []
    with whole(folder / LISTENS) as temporary:
        _write((_count(part, counts, about) for part in _check(table, log, counts)), temporary)
    if not counts.plays:
        (folder / LISTENS).unlink()
        raise BenchError(f"{log.path} holds no plays. {log.remedy}")
    if log.about:
        with whole(folder / TRACKS) as temporary:
            pl.concat(about).rename({"item": "track_id"}).write_parquet(temporary)
    write_text(folder / COUNTS, canonical_json(counts.as_json()))
    print_progress(f"  done: {counts.plays:,} plays")


@dataclass
class _Counts:
    plays: int = 0
    blank: int = 0
    without_item: int = 0
    first: int = 2**62
    last: int = -(2**62)
    printed: float = field(default_factory=time.monotonic)
    """Time of the last line of progress."""

    def as_json(self) -> dict[str, Any]:
        numbers = {name: getattr(self, name) for name in ("plays", "blank", "without_item")}
        return numbers | {name: iso(getattr(self, name) // 1_000_000) for name in ("first", "last")}


def _check(table: Table, log: Log, counts: _Counts) -> Iterator[pl.DataFrame]:
    """Check the plays of a log and yield them in the order of the file, with the columns in `Log.about`."""
    row = 0
    parts = table.parts()
    while True:
        try:
            part = next(parts, None)
        except Damage as error:
            table.refuse(error)
        if part is None:
            return
        block = log.with_made(replace(table, frame=part.lazy(), first_line=table.first_line + row))
        plays = as_plays(block, log.columns).collect()
        filled = ~pl.col("blank")
        wrong = filled & (no_id("user") | pl.col("time").is_null())
        if not log.drop_without_item:
            wrong |= filled & no_id("item")
        out_of_range = (pl.col("time") < EARLIEST) | (pl.col("time") >= LATEST)
        found = plays.select(
            wrong=wrong.any(),
            out_of_range=out_of_range.any(),
            blank=pl.col("blank").sum(),
            without_item=(filled & no_id("item")).sum(),
        ).row(0, named=True)
        if found["wrong"]:
            report(block, log.columns, wrong, None, log.remedy)
        if found["out_of_range"]:
            report(block, log.columns, out_of_range, "a time between 1900 and 2200", log.remedy)
        counts.blank += found["blank"]
        counts.without_item += found["without_item"]
        row += part.height
        about = part.select(**{name: pl.col(column) for name, column in log.about.items()})
        if log.about:
            plays = pl.concat([plays, about], how="horizontal")
        yield plays.filter(filled & ~no_id("item")).drop("blank")


def _count(part: pl.DataFrame, counts: _Counts, about: list[pl.DataFrame]) -> pl.DataFrame:
    """Count the plays of a block, add its new items to `about`, and return its plays."""
    if part.height:
        counts.plays += part.height
        span = part.select(first=pl.col("time").min(), last=pl.col("time").max()).cast(pl.Int64).row(0)
        counts.first, counts.last = min(counts.first, span[0]), max(counts.last, span[1])
    if (now := time.monotonic()) - counts.printed > PROGRESS_SECONDS:
        counts.printed = now
        print_progress(f"  {counts.plays:,} plays")
    if part.width > 3:
        items = part.drop("user", "time").unique("item", keep="first", maintain_order=True)
        if about:
            items = items.join(about[0].select("item"), on="item", how="anti", maintain_order="left")
            items = pl.concat([about[0], items])
        about[:] = [items]
    return part.select("user", "item", "time")


def _write(parts: Iterator[pl.DataFrame], path: Path) -> None:
    """Write each block as one row group, without waiting for the next."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("user", pa.large_string()), ("item", pa.large_string()), ("time", pa.int64())])
    # Ids repeat, so a dictionary of all ids makes the file small. Consecutive times differ little.
    encoding = {"use_dictionary": ["user", "item"], "column_encoding": {"time": "DELTA_BINARY_PACKED"}}
    with pq.ParquetWriter(path, schema, compression="zstd", dictionary_pagesize_limit=1 << 26, **encoding) as writer:
        for part in parts:
            part = part.with_columns(pl.col("time").dt.timestamp("us") // 1_000_000)
            arrow = part.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)
            writer.write_table(arrow, row_group_size=max(part.height, 1))


def print_progress(line: str) -> None:
    """Print a line of progress to stderr."""
    note(line)
