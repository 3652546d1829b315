"""Parse times of plays in common formats to UTC datetimes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl

TIME = pl.Datetime("us", "UTC")

EXPECTED = (
    "a time such as '2019-02-20 12:28', '2009-04-08T01:57:47Z', '2019-02-20 12:28:00+01:00', or a number of "
    "seconds, milliseconds or microseconds since 1970"
)

_DAYS = ("%Y-%m-%d ", "%Y-%m-%dT")
_CLOCKS = ("%H:%M:%S", "%H:%M", "%H:%M:%S%.f")
_PLAIN = (*(day + clock + utc for utc in ("", "Z", " UTC") for day in _DAYS for clock in _CLOCKS), "%Y-%m-%d")
_ZONED = tuple(day + clock + zone for day in _DAYS for clock in _CLOCKS[1:] for zone in ("%#z", " %#z"))


def moment(name: str, dtype: pl.DataType) -> pl.Expr | None:
    """Return an expression for column `name` as Datetime('us', 'UTC'), null for values that cannot be parsed.

    Times without a zone are UTC. Numbers count from 1970; their size determines the unit: seconds below
    1e11, milliseconds below 1e14, microseconds below 1e17, otherwise nanoseconds. Returns None if a column
    of type `dtype` cannot hold times.
    """
    column = pl.col(name)
    if isinstance(dtype, pl.String):
        return column.map_batches(parse, return_dtype=TIME, is_elementwise=True)
    if isinstance(dtype, pl.Datetime):
        zoned = column.dt.replace_time_zone("UTC") if dtype.time_zone is None else column
        return zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    if isinstance(dtype, pl.Date):
        return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if dtype.is_integer():
        return _from_number(column.cast(pl.Int64, strict=False))
    # Float32 is too coarse: it resolves two minutes for times of today.
    return _from_number(column) if isinstance(dtype, pl.Float64) else None


def parse(texts: pl.Series) -> pl.Series:
    """Parse text (N,) to times; null if no format matches. Blanks around a value are ignored.

    The format of the first value is tried first, so that a file with a single format is parsed in one pass;
    the other formats are tried on the remaining values.
    """
    first = texts.drop_nulls().head(1)
    readers = sorted(_READERS, key=lambda read: read(first).null_count())
    times = readers[0](texts)
    for read in (*readers[1:], _trimmed):
        missing = (times.is_null() & texts.is_not_null()).arg_true()
        if not missing.len():
            break
        found = read(texts.gather(missing))
        if found.null_count() < found.len():
            times = times.scatter(missing, found)
    return times.alias(texts.name)


def iso(seconds: int) -> str:
    """Format seconds since 1970 as ``2019-02-20T00:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _trimmed(texts: pl.Series) -> pl.Series:
    stripped = texts.str.strip_chars()
    return parse(stripped) if (stripped != texts).any() else pl.Series([None] * len(texts), dtype=TIME)


def _plain(form: str) -> Callable[[pl.Series], pl.Series]:
    def read(texts: pl.Series) -> pl.Series:
        naive = texts.str.to_datetime(form, time_unit="us", strict=False, cache=False)
        return naive.dt.replace_time_zone("UTC")

    return read


def _zoned(form: str) -> Callable[[pl.Series], pl.Series]:
    def read(texts: pl.Series) -> pl.Series:
        return texts.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False, cache=False)

    return read


def _number(texts: pl.Series) -> pl.Series:
    integer = _from_number(pl.col("t").cast(pl.Int64, strict=False))
    fraction = _from_number(pl.col("t").cast(pl.Float64, strict=False))
    return texts.alias("t").to_frame().select(integer.fill_null(fraction)).to_series()


def _from_number(value: pl.Expr) -> pl.Expr:
    """Convert Int64 or Float64 since 1970 to times; see `moment` for the unit. NaN and infinity become null."""
    size = value.abs()
    micro = (
        pl.when(size < 10**11)
        .then(value * 10**6)
        .when(size < 10**14)
        .then(value * 10**3)
        .when(size < 10**17)
        .then(value)
        .otherwise(value // 10**3)
    )
    return micro.cast(pl.Int64, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


_READERS = (*map(_plain, _PLAIN), _number, *map(_zoned, _ZONED))
