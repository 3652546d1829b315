"""Times of plays, however they are written: one polars expression that ends in UTC microseconds."""

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
    """Expression for column `name` of type `dtype` as Datetime('us', 'UTC'); what cannot be read is null.

    Naive times are UTC. Numbers count from 1970 in a unit that their size tells: below 1e11 seconds,
    below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds. None when no such type is a time.
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
    # Float32 resolves two minutes at best in the present century.
    return _from_number(column) if isinstance(dtype, pl.Float64) else None


def parse(texts: pl.Series) -> pl.Series:
    """Times from text (N,); null where nothing fits. Blanks around a value are forgiven.

    The form that fits the first value is tried first, so that an even file is read in one sweep; what is
    left over meets the other forms.
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
    """Spell seconds since 1970 as ``2019-02-20T00:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _trimmed(texts: pl.Series) -> pl.Series:
    bare = texts.str.strip_chars()
    return parse(bare) if (bare != texts).any() else pl.Series([None] * len(texts), dtype=TIME)


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
    whole = _from_number(pl.col("t").cast(pl.Int64, strict=False))
    broken = _from_number(pl.col("t").cast(pl.Float64, strict=False))
    return texts.alias("t").to_frame().select(whole.fill_null(broken)).to_series()


def _from_number(value: pl.Expr) -> pl.Expr:
    """Times from Int64 or Float64 since 1970, the unit by magnitude; NaN and infinity are null."""
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
