"""Read logs that are Parquet files: each is checked once and then read without conversion."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bench.errors import BenchError
from bench.files.atomic import canonical_json, write_text
from bench.listening.plays import EARLIEST, LATEST, as_plays, no_id, report
from bench.listening.text_table import Damage, Table, open_table

REMEDY = "Compare the file with its source, or get it again."


def open_parquet(path: Path, needed: Iterable[str]) -> Table:
    """Open a Parquet file and check that it has the `needed` columns.

    Raises
    ------
    BenchError
        The file is not Parquet, or a column is missing; the message names the file and both lists of columns.

    """
    table = open_table(path)
    if table.separator is not None:
        raise BenchError(f"{path} is not Parquet. {REMEDY}")
    if missing := [name for name in needed if name not in table.schema]:
        raise BenchError(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(needed)}; "
            f"its columns are {', '.join(table.schema)}. {REMEDY}"
        )
    return table


def check_log(
    table: Table, chosen: Mapping[str, str], *, item_may_be_missing: bool = False, **more: pl.Expr
) -> dict[str, int]:
    """Check one file, and return the number of plays, of plays without an item, and the counts in `more`.

    Raises
    ------
    BenchError
        An id or a time is missing, or a time is out of range; the message names the file, the row, the value and
        what was expected.

    """
    plays = as_plays(table, chosen)
    wrong = no_id("user") | pl.col("time").is_null()
    if not item_may_be_missing:
        wrong |= no_id("item")
    out_of_range = (pl.col("time") < EARLIEST) | (pl.col("time") >= LATEST)
    counts = plays.select(
        plays=pl.len(), without_item=no_id("item").sum(), wrong=wrong.sum(), out_of_range=out_of_range.sum()
    )
    try:
        found = counts.collect(engine="streaming").row(0, named=True)
        found |= table.frame.select(**more).collect(engine="streaming").row(0, named=True) if more else {}
    except Damage as error:
        raise BenchError(f"{table.path} cannot be read to its end ({error}). Get the file again.") from error
    for which, expected in (("wrong", None), ("out_of_range", "a time between 1900 and 2200")):
        if found.pop(which):
            report(table, chosen, wrong if which == "wrong" else out_of_range, expected, REMEDY)
    return {name: int(value or 0) for name, value in found.items()}


def plays(table: Table, chosen: Mapping[str, str], where: pl.Expr | None = None) -> pl.LazyFrame:
    """Return user, item (text or integers), time (datetime, UTC) of rows that satisfy `where` and have an item."""
    source = table if where is None else Table(table.path, table.frame.filter(where), table.schema, None, 1)
    return as_plays(source, chosen).filter(~no_id("item")).select("user", "item", "time")


def cached_json(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the JSON object in `path`; if there is none, make it and write it to `path`."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = make()
        write_text(path, canonical_json(content))
    return content
