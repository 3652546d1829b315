"""Listening logs: any CSV, TSV or Parquet file of plays as one lazy frame of user, item, time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from bench.data import times
from bench.data.columns import ROLES, choose, listed, parse_columns
from bench.data.meta import read_meta
from bench.data.tables import Damage, Table, lines, open_table
from bench.errors import BenchError
from bench.files import file_sha256

__all__ = ["FileDataset", "check", "fingerprint", "parse_columns", "scan"]

_EARLIEST = times.parse(pl.Series(["1900-01-01"])).item()
_LATEST = times.parse(pl.Series(["2200-01-01"])).item()
_SOON = times.parse(pl.Series(["1971-01-01"])).item()
_SUFFIXES = re.compile(r"(\.(csv|tsv|txt|tab|parquet|pqt?|gz|bz2|zst|xz))+$", re.IGNORECASE)


def scan(path: Path, columns: Mapping[str, str] | None = None) -> pl.LazyFrame:
    """Return the plays of a log, lazily: user (str), item (str), time (Datetime('us', 'UTC')).

    `columns` maps user, item and time to the file's names; what is missing is guessed from the header.
    Ids are kept exactly as they are written; naive times are UTC; lines with none of the three values
    (blank lines) are skipped. A time that cannot be read is null here: `check` finds and reports it.

    Raises
    ------
    BenchError
        The file cannot be opened as a table, or its columns are unknown or of a wrong type.

    """
    table = open_table(path)
    plays = _plays(table, choose(path, list(table.schema), columns))
    return plays.filter(~pl.col("blank")).select("user", "item", "time")


def check(path: Path, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read a whole log once and return plays, users, items, blank (lines), first and last (datetime).

    Raises
    ------
    BenchError
        No plays; a line that is broken; an id that is missing; a time that is missing, unreadable or
        absurd. It names the file, the line, the value and what was expected.

    """
    table = open_table(path)
    chosen = choose(path, list(table.schema), columns)
    plays, full = _plays(table, chosen), ~pl.col("blank")
    wrong = full & (_no_id("user") | _no_id("item") | pl.col("time").is_null())
    aggregates = plays.select(
        plays=full.sum(),
        users=pl.col("user").drop_nulls().n_unique(),
        items=pl.col("item").drop_nulls().n_unique(),
        blank=pl.col("blank").sum(),
        first=pl.col("time").min(),
        last=pl.col("time").max(),
        wrong=wrong.sum(),
    )
    try:
        counts = aggregates.collect(engine="streaming").row(0, named=True)
    except Damage as error:
        _diagnose(table, error)
    if not counts["plays"]:
        raise BenchError(f"{path} holds a header but no plays.")
    if counts.pop("wrong"):
        _report(table, chosen, wrong, None)
    if counts["first"] < _EARLIEST or counts["last"] >= _LATEST:
        absurd = (pl.col("time") < _EARLIEST) | (pl.col("time") >= _LATEST)
        _report(table, chosen, absurd, "a time between 1900 and 2200")
    if counts["last"] < _SOON and _compact_dates(table, chosen["time"]):
        _report(table, chosen, full, "dates with separators (2019-02-20): digits count seconds since 1970")
    return counts


def fingerprint(path: Path) -> str:
    """sha256 (hex) of the file's bytes."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}. Check the file's name.") from error


class FileDataset:
    """A user's own log: ``--listens FILE --columns user=,item=,time= --meta FILE``; audio comes apart."""

    license = ""
    source = "given on the command line"
    layout = "one CSV, TSV or Parquet file of plays"
    builtin = False
    default_split = "global_temporal"
    default_k = 50

    def __init__(self, path: Path, columns: Mapping[str, str] | None = None, meta: Path | None = None) -> None:
        """Keep the names of the files; read nothing."""
        self.path, self.columns, self.meta_path = path, dict(columns or {}), meta
        self.name = re.sub(r"[^\w.-]+", "-", _SUFFIXES.sub("", path.name)) or "log"
        self._counts: dict[str, Any] | None = None

    def prepare(self, root: Path | None, cache: Path) -> Path:
        """Return the folder of the log; nothing is prepared."""
        return self.path.parent

    def catalog(self, root: Path) -> None:
        """None: audio is given apart, with ``--audio``."""
        return

    def listens(self, root: Path) -> pl.LazyFrame:
        """Plays as `scan` returns them, after one `check` of the whole file."""
        self.counts()
        return scan(self.path, self.columns)

    def counts(self) -> dict[str, Any]:
        """What `check` counted; the file is read on the first call only."""
        if self._counts is None:
            self._counts = check(self.path, self.columns)
        return self._counts

    def meta(self, root: Path) -> pl.DataFrame | None:
        """Metadata from ``--meta``, or None; see `bench.data.meta.read_meta`."""
        return None if self.meta_path is None else read_meta(self.meta_path)

    def labels(self, root: Path, task: str) -> None:
        """None: a log has no labels."""
        return

    def fingerprint(self, root: Path) -> dict[str, Any]:
        """Name, columns and sha256 of the log and of the metadata."""
        meta = None if self.meta_path is None else fingerprint(self.meta_path)
        return {"name": self.name, "columns": self.columns, "listens": fingerprint(self.path), "meta": meta}


def _plays(table: Table, chosen: Mapping[str, str]) -> pl.LazyFrame:
    """user, item, time, and `blank`: none of the three values is there."""
    expressions = {}
    for role in ("user", "item"):
        name, dtype = chosen[role], table.schema[chosen[role]]
        if not (dtype.is_integer() or isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))):
            raise BenchError(f"{table.path}: column {name!r} is {dtype}; the {role} must be text or an integer.")
        expressions[role] = pl.col(name).cast(pl.String)
    name, dtype = chosen["time"], table.schema[chosen["time"]]
    moment = times.moment(name, dtype)
    if moment is None:
        raise BenchError(f"{table.path}: column {name!r} is {dtype}; expected {times.EXPECTED}.")
    blank = pl.all_horizontal(pl.col(chosen[role]).is_null() for role in ROLES)
    return table.frame.select(**expressions, time=moment, blank=blank)


def _no_id(role: str) -> pl.Expr:
    return pl.col(role).is_null() | (pl.col(role) == "")


def _report(table: Table, chosen: Mapping[str, str], wrong: pl.Expr, expected: str | None) -> NoReturn:
    """Raise for the first row of the table for which `wrong` holds."""
    raw = table.frame.select(**{f"raw_{role}": pl.col(chosen[role]) for role in ROLES})
    rows = pl.concat([_plays(table, chosen), raw], how="horizontal").with_row_index("row")
    row = rows.filter(wrong).head(1).collect().row(0, named=True)
    role = next((role for role in ("user", "item") if not row[role]), "time")
    if expected is None:
        expected = times.EXPECTED if role == "time" else f"the id of a{'n' if role == 'item' else ''} {role}"
    raise BenchError(
        f"{table.place(row['row'])}: the {role} (column {chosen[role]!r}) is {row['raw_' + role]!r}; "
        f"expected {expected}. Mend or remove such rows, or name other columns with --columns."
    )


def _compact_dates(table: Table, name: str) -> bool:
    """Whether every number of the column reads as YYYYMMDD, which no clock of seconds would do."""
    stamp = pl.col(name).cast(pl.String).drop_nulls()
    date = stamp.str.to_date("%Y%m%d", strict=False, cache=False)
    tests = table.frame.select(day=date.is_not_null().all(), eight=(stamp.str.len_chars() == 8).all())
    return all(tests.collect(engine="streaming").row(0))


def _diagnose(table: Table, error: Exception) -> NoReturn:
    """Find the line over which the reader stumbled."""
    if table.separator is not None:
        names, separator = listed(table.schema), table.separator.encode()
        try:
            with lines(table.path) as stream:
                for number, line in enumerate(stream, 1):
                    place = f"{table.path}, line {number}"
                    if (found := line.count(separator) + 1) > len(table.schema) and b'"' not in line:
                        raise BenchError(
                            f"{place}: {found} values, but the header names {len(table.schema)} ({names}). "
                            f"Expected values separated by {table.separator!r}."
                        )
                    try:
                        line.decode()
                    except UnicodeDecodeError as wrong:
                        raise BenchError(f"{place}: not UTF-8 ({wrong.reason}). Convert it.") from error
        except Damage as broken:
            error = broken
    raise BenchError(f"{table.path} cannot be read to its end ({error}). Get the file again.") from error
