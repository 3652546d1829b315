"""What must not be measured: training that knows the test, by artist, by audio, or by the extractor's own training."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from bench.datasets.contamination import same_catalogue
from bench.entries import ExtractorEntry
from bench.protocols import PARTS
from bench.run.probe.tasks import LoadedTask

SHOWN = 3
"""Examples in a message."""


def contaminated(extractor: ExtractorEntry, task: LoadedTask) -> str | None:
    """Say that the extractor was trained on recordings of the task's collection, if it says so itself."""
    known = [name for name in extractor.trained_on if same_catalogue(name, task.collection)]
    if not known:
        return None
    return f"{extractor} was trained on {', '.join(known)}, whose recordings {task.name} tests on"


def leaks(task: LoadedTask) -> tuple[list[str], list[str]]:
    """Return what leaks from training into the held-out parts, and what does so by the task's own convention.

    The first are artists whom the task keeps apart, and equal audio. Folds that are drawn track by track keep
    nothing apart, so their equal audio is only told.
    """
    items = task.data.items.with_columns(row=pl.Series(task.rows, dtype=pl.String))
    items = items.filter(~pl.Series(task.repeated or [False] * items.height))
    by = "part" if "part" in items.columns else "fold"
    found = []
    for column in task.data.disjoint:
        shared = _shared(items, column, by)
        if shared:
            found.append(f"{len(shared)} values of {column} stand in two parts ({_some(shared)})")
    equal: list[str] = []
    if same := _shared(items, "row", by):
        ids = items.filter(pl.col("row").is_in(same[:SHOWN]))["track_id"].to_list()
        equal.append(f"{len(same)} recordings are byte for byte in two {by}s ({_some(ids, 2 * SHOWN)})")
    return (found, equal) if by == "fold" else (found + equal, [])


def untangle(task: LoadedTask) -> list[str]:
    """Leave out of a task of a dataset what is byte for byte in a later part, too; say how much that is.

    Parts that are made here can be mended; those that somebody published cannot, and `leaks` refuses them.
    """
    items = task.data.items
    if task.task.of != "data" or "part" not in items.columns:
        return []
    place = items.select(
        row=pl.Series(task.rows, dtype=pl.String),
        part=pl.col("part").replace_strict(PARTS, range(len(PARTS)), return_dtype=pl.Int8),
    )
    earlier = place["row"].is_not_null() & place.select(pl.col("part") < pl.col("part").max().over("row")).to_series()
    task.repeated = earlier.to_list()
    return [f"{earlier.sum()} items are left out: the same recording is in a later part"] if earlier.any() else []


def _shared(items: pl.DataFrame, column: str, by: str) -> list[str]:
    if column not in items.columns:
        return []
    several = items.drop_nulls(column).group_by(column).agg(pl.col(by).n_unique().alias("parts"))
    return [str(one) for one in several.filter(pl.col("parts") > 1)[column].sort().to_list()]


def _some(values: Sequence[str], most: int = SHOWN) -> str:
    return ", ".join(values[:most]) + (", ..." if len(values) > most else "")
