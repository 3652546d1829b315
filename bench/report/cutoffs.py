"""Metrics at other cut-offs than those of a record, from the ranks beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics import chance
from bench.metrics.from_ranks import hits_of
from bench.metrics.ranking import values_of
from bench.records import SETS, Record, users_path
from bench.records.intervals import mean_intervals_of
from bench.records.ranks import HeldOut, read_ranks
from bench.records.rows import read_rows
from bench.text import one_line

Found = tuple[Path, Record | BenchError]


def at_cutoffs(records: Iterable[Found], ks: Sequence[int], problems: list[str]) -> list[Found]:
    """Return records with metrics, intervals and chance levels at other cut-offs, as if they had been measured there.

    Metrics of the lists alone, such as coverage, and those of validation remain where they were measured at one of
    `ks`. A record without usable ranks remains at those of `ks` at which it was measured, if the first one is among
    them. Probes are unchanged.

    Parameters
    ----------
    records
        Paths and records from `bench.records.read_all`.
    ks
        Cut-offs, the main one first.
    problems
        Receives a line for each record that is left out, at some or all of `ks`.

    """
    out: list[Found] = []
    for path, record in records:
        if isinstance(record, BenchError) or record.is_probe:
            out.append((path, record))
            continue
        found = _measured(path, record, ks)
        if not isinstance(found, str):
            out.append((path, found))
            continue
        known = [k for k in ks if k in record.k] if ks[0] in record.k else []
        if known:
            out.append((path, _only(record, known)))
        if lost := [str(k) for k in ks if k not in known]:
            problems.append(one_line(f"{path} at k = {', '.join(lost)}: {found}."))
    return out


def _measured(path: Path, record: Record, ks: Sequence[int]) -> Record | str:
    """Return a record at other cut-offs, or why it cannot be measured there."""
    held_out = read_ranks(path, record)
    if isinstance(held_out, str):
        return f"the ranks of its held-out items are needed there, and {held_out}"
    counts = read_rows(users_path(path), record, ["candidates", "user", *_COUNTS])
    if isinstance(counts, str):
        return f"the numbers of its candidates are needed there, and {counts}"
    found: dict[str, Any] = {"metrics": {}, "intervals": {}, "chance": {}, "users": {}, "candidates": {}}
    try:
        counts = counts.cast({"candidates": pl.String, "user": pl.String, **dict.fromkeys(_COUNTS, pl.Int64)})
        for where in (where for where in SETS if where in record.users):
            part = counts.filter(pl.col("candidates") == where)
            relevant, free, listable = (part[name].to_numpy() for name in _COUNTS)
            if len(part) != record.users[where] or listable.max() > record.candidates[where]:
                return f"the numbers of its {where} candidates are not those of the record"
            kept = [k for k in ks if k < listable.max()]
            if not kept or (where == "mixed" and "cold" not in found["users"]):
                continue
            found["chance"][where] = chance(free, relevant, kept)
            found["users"][where], found["candidates"][where] = record.users[where], record.candidates[where]
            if where in held_out:
                alike = part["user"].equals(held_out[where].listeners)
                if not alike or not np.array_equal(held_out[where].sizes, relevant):
                    return f"its ranks have other {where} users than its rows"
                values = _values(held_out[where], kept)
                found["metrics"][where] = {metric: float(value.mean()) for metric, value in values.items()}
                found["intervals"][where] = mean_intervals_of(where, values, held_out[where], record.seed)
    except (pl.exceptions.PolarsError, KeyError, ValueError) as error:
        return f"the numbers of its candidates cannot be read ({error})"
    if not found["users"]:
        return "its lists would hold all candidates"
    unranked = tuple(where for where in record.unranked if where in found["users"])
    return replace(_only(record, ks), **found, unranked=unranked, k=tuple(ks))


_COUNTS = ("relevant", "free", "listable")
"""Columns of the rows beside a record that chance levels and cut-offs depend on."""


def _values(held_out: HeldOut, ks: Collection[int]) -> dict[str, NDArray[np.float64]]:
    """Return the values (U,) of every metric at some cut-offs."""
    return values_of(hits_of(held_out, max(ks))[0], ks)


def _only(record: Record, ks: Collection[int]) -> Record:
    """Return what a record holds at some cut-offs."""
    kept: dict[str, Any] = {
        name: {
            where: {metric: value for metric, value in values.items() if _cutoff(metric) in ks}
            for where, values in getattr(record, name).items()
        }
        for name in ("metrics", "intervals", "chance", "beyond", "validation")
    }
    return replace(record, **kept, k=tuple(k for k in ks if k in record.k))


def _cutoff(metric: str) -> int:
    return int(metric.rpartition("@")[2])
