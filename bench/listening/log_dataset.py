"""Read listening logs: any CSV, TSV or Parquet file of plays as a lazy frame of user, item, time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bench.errors import BenchError
from bench.files.atomic import digest, file_sha256
from bench.files.hash_index import HashIndex
from bench.listening import parquet_cache, times
from bench.listening.columns import choose, parse_columns
from bench.listening.metadata import read_meta
from bench.listening.places import places
from bench.listening.plays import EARLIEST, LATEST, REMEDY, as_plays, no_id, report
from bench.listening.text_table import Damage, Table, open_table
from bench.protocols import Dataset

__all__ = ["FileDataset", "check", "fingerprint", "parse_columns", "scan"]

_ONE_YEAR = times.parse(pl.Series(["1971-01-01"])).item()
_SUFFIXES = re.compile(r"(\.(csv|tsv|txt|tab|parquet|pqt?|gz|bz2|zst|xz))+$", re.IGNORECASE)


def scan(path: Path, columns: Mapping[str, str] | None = None) -> pl.LazyFrame:
    """Return the plays of a log, lazily: user, item (text or integers), time (Datetime('us', 'UTC')).

    `columns` maps user, item and time to columns of the file; missing roles are found by column name. Ids
    are not changed: the integers of a Parquet file stay integers. Times without a zone are UTC; blank lines
    (none of the three values) are skipped. A time that cannot be read is null; `check` reports it.

    Raises
    ------
    BenchError
        The file cannot be opened as a table, or its columns are unknown or have a wrong type.

    """
    table = open_table(path)
    plays = as_plays(table, choose(path, list(table.schema), columns))
    return plays.filter(~pl.col("blank")).select("user", "item", "time")


def check(path: Path, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read a complete log once and return plays, users, items, blank (lines), first and last (datetime).

    Raises
    ------
    BenchError
        The log has no plays, a line is broken, an id is missing, or a time is missing, unreadable or out of
        range. The message names the file, the line, the value and what was expected.

    """
    table = open_table(path)
    chosen = choose(path, list(table.schema), columns)
    # The parser notices a row of too many values only if it reads all columns, also those that are not used.
    unused = [pl.col(name).is_null() for name in table.schema if table.layout and name not in chosen.values()]
    more = {"unused": pl.any_horizontal(unused)} if unused else {}
    plays, filled = as_plays(table, chosen, **more), ~pl.col("blank")
    wrong = filled & (no_id("user") | no_id("item") | pl.col("time").is_null())
    sums = {"plays": filled.sum(), "blank": pl.col("blank").sum(), "wrong": wrong.sum()} | {
        name: pl.col(name).sum() for name in more
    }
    span = {"first": pl.col("time").min(), "last": pl.col("time").max()}
    # Two queries: counting distinct items in the first one would hold the complete log in memory.
    grouped = plays.group_by("user").agg(**{name: value.cast(pl.Int64) for name, value in sums.items()}, **span)
    try:
        users = grouped.collect(engine="streaming")
        items = plays.select("item").unique().collect(engine="streaming")
    except Damage as error:
        table.refuse(error)
    distinct = {"users": users["user"].drop_nulls().len(), "items": items["item"].drop_nulls().len()}
    counts = distinct | users.select(pl.col(*sums).sum(), pl.col("first").min(), pl.col("last").max()).row(
        0, named=True
    )
    counts.pop("unused", None)
    if (rows := table.rows()) is not None and rows != counts["plays"] + counts["blank"]:
        raise BenchError(
            f"{path} has {rows} rows, but the parser read {counts['plays'] + counts['blank']}. Convert it."
        )
    if not counts["plays"]:
        raise BenchError(f"{path} holds a header but no plays.")
    if counts.pop("wrong"):
        report(table, chosen, wrong, None)
    if counts["first"] < EARLIEST or counts["last"] >= LATEST:
        out_of_range = (pl.col("time") < EARLIEST) | (pl.col("time") >= LATEST)
        report(table, chosen, out_of_range, "a time between 1900 and 2200")
    if counts["last"] < _ONE_YEAR and _compact_dates(table, chosen["time"]):
        report(table, chosen, filled, "dates with separators (2019-02-20): digits count seconds since 1970")
    return counts


def fingerprint(path: Path) -> str:
    """Return the sha256 (hex) of the file's bytes."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}. Check the file's name.") from error


class FileDataset(Dataset):
    """A user's own log: ``--listens FILE --columns user=,item=,time= --meta FILE``, without audio."""

    source = "given on the command line"
    layout = "one CSV, TSV or Parquet file of plays"
    default_split = "global_temporal"
    default_k = 50

    def __init__(self, path: Path, columns: Mapping[str, str] | None = None, meta: Path | None = None) -> None:
        """Store the paths; no file is read."""
        super().__init__()
        self.path, self.columns, self.meta_path = path, dict(columns or {}), meta
        self.name = re.sub(r"[^\w.-]+", "-", _SUFFIXES.sub("", path.name)) or "log"
        self._counts: dict[str, Any] | None = None
        self._cache: Path | None = None

    def prepare(self, root: Path | None, cache: Path) -> Path:
        """Return the folder of the log; nothing needs to be prepared."""
        self._cache = cache.absolute()
        return self.path.parent

    def listens(self, root: Path) -> pl.LazyFrame:
        """Return the plays as `scan` does, after `check` has read the file.

        Compressed text (bz2, gzip, xz, zstd) is converted to Parquet on first use, because a split reads the
        log more than once.
        """
        table = open_table(self.path)
        if self._cache is None or table.layout is None or not table.layout.packing:
            self.counts()
            return scan(self.path, self.columns)
        log = parquet_cache.Log(self.path, choose(self.path, list(table.schema), self.columns), remedy=REMEDY)
        key = digest({"reader": 2, "log": HashIndex.below(self._cache).sha256(self.path.absolute()), **log.key()})
        folder = self._cache / "datasets" / f"{self.name}-{key[:16]}"
        if parquet_cache.convert(log, folder)["last"] < "1971":
            self.counts()  # raises an error for dates without separators
        return parquet_cache.scan(folder)

    def places(self, root: Path, first: int, last: int) -> list[str]:
        """Return the lines (Parquet: rows) of some plays from second `first` to `last`."""
        table = open_table(self.path)
        return places(table, choose(self.path, list(table.schema), self.columns), first, last)

    def counts(self) -> dict[str, Any]:
        """Return the result of `check`; only the first call reads the file."""
        if self._counts is None:
            self._counts = check(self.path, self.columns)
        return self._counts

    def meta(self, root: Path) -> pl.DataFrame | None:
        """Return the metadata of ``--meta``, or None; see `bench.listening.metadata.read_meta`."""
        return None if self.meta_path is None else read_meta(self.meta_path)

    def fingerprint(self, root: Path) -> dict[str, Any]:
        """Return the sha256 of the log and of the metadata, whatever their names, and the columns that were named."""
        hashed = fingerprint if self._cache is None else HashIndex.below(self._cache).sha256
        meta = None if self.meta_path is None else hashed(self.meta_path)
        return {"listens": hashed(self.path), "meta": meta, "columns": self.columns}


def _compact_dates(table: Table, name: str) -> bool:
    """Whether every number in the column is a date of the form YYYYMMDD rather than a count of seconds."""
    stamp = pl.col(name).cast(pl.String).drop_nulls()
    date = stamp.str.to_date("%Y%m%d", strict=False, cache=False)
    tests = table.frame.select(day=date.is_not_null().all(), eight=(stamp.str.len_chars() == 8).all())
    return all(tests.collect(engine="streaming").row(0))
