"""Which listeners and which artists gain most from one row over another, from the ranks of held-out items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.metrics.from_ranks import pair_values, per_user
from bench.records import Record
from bench.records.ranks import HeldOut, read_ranks
from bench.report.board import Row
from bench.report.format import parts

Frame = Callable[[HeldOut, str, int], pl.DataFrame]


def by_listener(a: Row, b: Row, where: str, metric: str) -> pl.DataFrame | None:
    """Return the difference of a metric (first row less second) of each listener, means over seeds and folds.

    Returns
    -------
    Columns `name`, `pairs` (held-out items of the listener) and `gain`, highest gain first; None if a record has no
    usable ranks.

    """
    return _gains(a, b, where, metric, _of_listeners, pl.col("value").mean())


def by_artist(a: Row, b: Row, where: str, metric: str) -> pl.DataFrame | None:
    """Return what each artist's held-out tracks contribute to the difference of a metric; the sum is the difference.

    Returns
    -------
    Columns `name`, `pairs` (held-out pairs of the artist's tracks) and `gain`, highest gain first; None if a record
    has no usable ranks, or no artists. Tracks without an artist are left out.

    """
    return _gains(a, b, where, metric, _of_artists, pl.col("value").sum() / pl.col("records").first())


def _gains(a: Row, b: Row, where: str, metric: str, frame: Frame, mean: pl.Expr) -> pl.DataFrame | None:
    first, second = (_values(row, where, metric, frame, mean) for row in (a, b))
    if first is None or second is None:
        return None
    both = first.join(second, on="name", how="inner", suffix="_b")
    return both.select("name", "pairs", gain=pl.col("value") - pl.col("value_b")).sort(
        ["gain", "name"], descending=[True, False]
    )


def _values(row: Row, where: str, metric: str, frame: Frame, mean: pl.Expr) -> pl.DataFrame | None:
    name, k = parts(metric)
    found = [_held_out(path, record, where) for path, record in row.records]
    frames = [frame(held, name, k) for held in found if held is not None]
    if not frames or len(frames) < len(found):
        return None
    every = pl.concat(frames).with_columns(records=pl.lit(len(frames)))
    made = every.group_by("name").agg(pl.col("pairs").first(), value=mean)
    return made if made.height else None


def _held_out(path: Path, record: Record, where: str) -> HeldOut | None:
    if not record.ranks:
        return None
    found = read_ranks(path, record)
    return None if isinstance(found, str) else found.get(where)


def _of_listeners(held: HeldOut, name: str, k: int) -> pl.DataFrame:
    return _frame(held.listeners, held.sizes, per_user(name, k, held))


def _of_artists(held: HeldOut, name: str, k: int) -> pl.DataFrame:
    share = pair_values(name, k, held) / np.repeat(held.sizes, held.sizes) / len(held.sizes)
    known = held.artist >= 0
    count = len(held.artists)
    totals = np.bincount(held.artist[known], weights=share[known], minlength=count).astype(np.float64)
    return _frame(held.artists, np.bincount(held.artist[known], minlength=count), totals)


def _frame(names: pl.Series, pairs: NDArray[np.integer], values: NDArray[np.float64]) -> pl.DataFrame:
    return pl.DataFrame({"name": names.cast(pl.String), "pairs": pairs.astype(np.int64), "value": values})
