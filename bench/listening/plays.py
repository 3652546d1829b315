"""Read the rows of a table as plays (user, item, time), and report the rows that are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import polars as pl

from bench.errors import BenchError
from bench.listening import times
from bench.listening.columns import ROLES
from bench.listening.text_table import Table

EARLIEST = times.parse(pl.Series(["1900-01-01"])).item()
LATEST = times.parse(pl.Series(["2200-01-01"])).item()
"""Plays before the first time, or from the second on, are errors."""

REMEDY = "Correct or remove such rows, or name other columns with --columns."


def as_plays(table: Table, chosen: Mapping[str, str], **more: pl.Expr) -> pl.LazyFrame:
    """Return user, item (text; integers stay integers), time (Datetime('us', 'UTC')) and blank (no value at all).

    `chosen` maps user, item and time to the table's columns. Raises BenchError for a column of a wrong type.
    `more` are further columns.
    """
    expressions = {}
    for role in ("user", "item"):
        name, dtype = chosen[role], table.schema[chosen[role]]
        if not (dtype.is_integer() or isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))):
            raise BenchError(f"{table.path}: column {name!r} is {dtype}; the {role} must be text or an integer.")
        expressions[role] = pl.col(name) if dtype.is_integer() else pl.col(name).cast(pl.String)
    name, dtype = chosen["time"], table.schema[chosen["time"]]
    moment = times.moment(name, dtype)
    if moment is None:
        raise BenchError(f"{table.path}: column {name!r} is {dtype}; expected {times.EXPECTED}.")
    blank = pl.all_horizontal(pl.col(chosen[role]).is_null() for role in ROLES)
    return table.frame.select(**expressions, time=moment, blank=blank, **more)


def no_id(role: str) -> pl.Expr:
    """Whether the id of a role is missing or empty."""
    return pl.col(role).is_null() | (pl.col(role).cast(pl.String) == "")


def report(
    table: Table,
    chosen: Mapping[str, str],
    wrong: pl.Expr,
    expected: str | None,
    remedy: str = REMEDY,
) -> NoReturn:
    """Raise for the first row of the table for which `wrong` holds."""
    raw = table.frame.select(**{f"raw_{role}": pl.col(chosen[role]) for role in ROLES})
    rows = pl.concat([as_plays(table, chosen), raw], how="horizontal").with_row_index("row")
    row = rows.filter(wrong).head(1).collect().row(0, named=True)
    role = next((role for role in ("user", "item") if row[role] in (None, "")), "time")
    if expected is None:
        expected = times.EXPECTED if role == "time" else f"the id of a{'n' if role == 'item' else ''} {role}"
    raise BenchError(
        f"{table.place(row['row'])}: the {role} (column {chosen[role]!r}) is {row['raw_' + role]!r}; "
        f"expected {expected}. {remedy}"
    )
