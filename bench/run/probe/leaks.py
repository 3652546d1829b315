"""Find leaks from training into test data: by artist, by audio, or through the extractor's training data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.datasets.contamination import same_catalogue
from bench.entries import ExtractorEntry
from bench.protocols import PARTS
from bench.run.heard import heard_tracks
from bench.run.probe.tasks import LoadedTask
from bench.splits.near_duplicates import AFFORDABLE, near_duplicates
from bench.text import counted

SHOWN = 3
"""Maximum number of examples in a message."""


def contaminated(extractor: ExtractorEntry, task: LoadedTask) -> str | None:
    """Describe the contamination if the extractor was trained on tested tracks, by their ids or by declaration."""
    if reason := heard_tracks(extractor, task.collection, task.tested):
        return reason
    known = [name for name in extractor.trained_on if same_catalogue(name, task.collection)]
    if not known:
        return None
    return f"{extractor} was trained on {', '.join(known)}, whose recordings {task.name} tests on"


def leaks(task: LoadedTask) -> tuple[list[str], list[str]]:
    """Return leaks from training into the held-out parts, and those that follow the task's convention.

    Leaks are artists (or other groups) that the task should separate, and identical audio. Folds drawn by track
    separate nothing, so identical audio between folds is only reported.
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


def near_leaks(task: LoadedTask, vectors: NDArray[np.float32], present: NDArray[np.bool_]) -> list[str]:
    """Warn of tracks of a dataset in different parts whose vectors (N, D) are almost equal; empty if there are none.

    They may be one recording in two files. The parts are made by artist and by equal bytes, so such a pair is under two
    artists' names. Large tables are not searched.
    """
    items = task.data.items
    cost = len(vectors) ** 2 * (vectors.shape[1] if vectors.ndim == 2 else 0)
    if task.task.of != "data" or "part" not in items.columns or not 0 < cost <= AFFORDABLE:
        return []
    there = np.flatnonzero(present)
    # Embeddings with a common mean are all similar: subtract it first.
    centred = vectors[there] - vectors[there].mean(axis=0)
    found = near_duplicates(centred, [task.ids[row] for row in there.tolist()])
    part = dict(zip(task.ids, items["part"].to_list(), strict=True))
    pairs = [f"{a} = {b}" for a, b in found.pairs if part[a] != part[b]]
    if not pairs:
        return []
    return [f"{counted(len(pairs), 'pair')} of tracks in two parts have vectors of cosine above 0.999 ({_some(pairs)})"]


def untangle(task: LoadedTask) -> list[str]:
    """Exclude items of a dataset's task whose recording is also in a later part; return a note about them.

    Only parts made by this package can be repaired this way; in published parts, `leaks` reports the items.
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
