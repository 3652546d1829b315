"""What needs the value of every user: intervals over seeds and users, and which rows are level."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.records import Record, users_path
from bench.records.rows import trouble
from bench.report.board import Block, Row
from bench.report.format import SETS
from bench.stats import LEAST_USERS, holm, interval, paired_test, two_level
from bench.text import one_line

ALPHA = 0.05

_MEMORY = 256 << 20
"""Bytes of per-user values held at a time."""

_LARGEST, _LONGEST = 1 << 30, 1000
"""Bytes of the values of one candidate set that are read, and of the name of a user: far more than any log has."""


@dataclass(frozen=True, eq=False)
class Means:
    """A row's resampled means by metric, (resamples,) each, and which users they are of, and how many."""

    users: str
    n: int
    of: dict[str, NDArray[np.float64]]


def complete(block: Block, problems: list[str]) -> None:
    """Replace the intervals of rows with several seeds, and mark the rows level with the best.

    Level with the best: the paired difference to the best row of the block (controls do not compete) has
    p above 0.05, by Holm's correction over the rows that are compared with it, a family being a metric on a
    candidate set. A row without usable per-user values, or on other users than most rows, is compared with none.
    Of fewer than `LEAST_USERS` users there is neither an interval nor a mark.
    """
    for where in SETS:
        rows = [row for row in block.all if row.values.get(where)]
        competing = [row for row in block.rows if row.values.get(where)]
        wanted = [r for r in rows if len(r.records) > 1 or (len(competing) > 1 and not r.control)]
        means = dict(_resampled(wanted, where, problems))
        for row in wanted:
            found = means.get(id(row))
            row.draws[where] = found.of if found and found.n >= LEAST_USERS else {}
            if len(row.records) > 1:
                _widen(row, where, row.draws[where])
        tested = [row for row in competing if id(row) in means]
        by_users = Counter(means[id(row)].users for row in tested).most_common(2)
        if len(competing) < 2:
            block.undecided[where] = "there is a single row"
        elif len(tested) < 2:
            missing = [row for row in competing if id(row) not in means]
            block.undecided[where] = f"{_count(missing, competing)} no usable per-user file"
        elif len(by_users) > 1 and by_users[0][1] == by_users[1][1]:
            block.undecided[where] = "the rows were measured on different users"
        else:
            alike = [row for row in tested if means[id(row)].users == by_users[0][0]]
            block.untested += [row for row in competing if row not in tested and row not in block.untested]
            block.elsewhere += [row for row in tested if row not in alike and row not in block.elsewhere]
            if means[id(alike[0])].n < LEAST_USERS:
                block.undecided[where] = f"there are fewer than {LEAST_USERS} users"
            else:
                _mark(alike, where, means)


def _widen(row: Row, where: str, drawn: dict[str, NDArray[np.float64]]) -> None:
    """Put intervals over seeds and users in the place of the span of the seeds' intervals."""
    values = row.values[where]
    row.spanned |= any(metric not in drawn and values[metric].low is not None for metric in values)
    for metric, means in drawn.items():
        low, high = interval(means)
        if low < high:
            values[metric] = replace(values[metric], low=low, high=high)


def _count(some: list[Row], rows: list[Row]) -> str:
    return f"{len(some)} of {len(rows)} rows {'has' if len(some) == 1 else 'have'}"


def _mark(rows: list[Row], where: str, means: dict[int, Means]) -> None:
    """Mark the rows level with the best in each metric, and count the users that tell a row from it."""
    having = {
        metric: [row for row in rows if metric in row.values[where] and metric in means[id(row)].of]
        for metric in dict.fromkeys(metric for row in rows for metric in row.values[where])
    }
    best = {
        metric: max(found, key=lambda row: row.values[where][metric].mean)
        for metric, found in having.items()
        if len(found) > 1
    }
    tops: dict[str, NDArray[np.float64]] = {}
    for row in {id(row): row for row in best.values()}.values():
        tops |= {metric: found for metric, found in _by_metric(row, where).items() if best.get(metric) is row}
    p: dict[str, dict[str, float]] = {metric: {} for metric in tops}
    # Read again, row by row: a block's values of all users may be more than memory holds.
    for at, row in enumerate(rows):
        for metric, values in _by_metric(row, where).items():
            if metric in tops and best[metric] is not row and row in having[metric]:
                found = paired_test(tops[metric], values, comparisons=len(having[metric]) - 1)
                p[metric][str(at)] = found.p
                row.values[where][metric] = replace(row.values[where][metric], differ=found.different)
    for metric, each in p.items():
        level = [rows[int(at)] for at, q in holm(each).items() if q > ALPHA]
        for row in (best[metric], *level):
            row.values[where][metric] = replace(row.values[where][metric], best=True)


def _by_metric(row: Row, where: str) -> dict[str, NDArray[np.float64]]:
    """Return the values (S, U) of a row by metric."""
    found = per_user(row, where, [])
    return {} if found is None else {metric: found[2][:, :, at] for at, metric in enumerate(found[1])}


def _resampled(rows: Sequence[Row], where: str, problems: list[str]) -> list[tuple[int, Means]]:
    """Resample every row that has per-user values; few rows at a time, with the same draws of users."""
    done: list[tuple[int, Means]] = []
    waiting: dict[str, list[tuple[Row, list[str], NDArray[np.float64]]]] = {}

    def flush(users: str) -> None:
        batch = waiting.pop(users)
        drawn = two_level([table for _, _, table in batch], [int(row.identity[:12], 16) for row, _, _ in batch])
        for (row, metrics, table), columns in zip(batch, drawn, strict=True):
            done.append((id(row), Means(users, table.shape[1], dict(zip(metrics, columns.T, strict=True)))))

    for row in rows:
        if (found := per_user(row, where, problems)) is None:
            continue
        users, metrics, table = found
        waiting.setdefault(users, []).append((row, metrics, table))
        if sum(t.nbytes for batch in waiting.values() for _, _, t in batch) > _MEMORY:
            for key in list(waiting):
                flush(key)
    for key in list(waiting):
        flush(key)
    return done


def per_user(row: Row, where: str, problems: list[str]) -> tuple[str, list[str], NDArray[np.float64]] | None:
    """Return the users' hash, metrics and values (S, U, M) of a row; None if any seed lacks them."""
    frames = [_read(path, record, where, list(row.values[where]), problems) for path, record in row.records]
    known = [frame for frame in frames if frame is not None]
    if len(known) < len(frames):
        return None
    metrics = [name for name in row.values[where] if all(name in frame.columns for frame in known)]
    users = {_hash(frame["user"]) for frame in known}
    if len(users) > 1:
        problems.append(
            one_line(f"{row.extractor} × {row.model}: its seeds were measured on different users ({where}).")
        )
        return None
    return users.pop(), metrics, np.stack([frame.select(metrics).to_numpy() for frame in known])


def _read(path: Path, record: Record, where: str, metrics: list[str], problems: list[str]) -> pl.DataFrame | None:
    """Read one candidate set of a per-user file, sorted by user; None when it is absent or does not fit."""
    file = users_path(path)
    if not os.path.lexists(file):
        return None
    why = trouble(file, record)
    if why is None and record.users.get(where, 0) * (len(metrics) + 1) * 8 > _LARGEST:
        why = f"{record.users[where]:,} users are more than a report compares"
    frame = None
    if why is None:
        try:
            frame = _chosen(file, where, metrics)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
            why = f"it cannot be read ({error})"
    if frame is not None:
        why = _unfit(frame, record, where)
    if frame is None or why is not None:
        said = one_line(f"{file} is left out: {why}.")
        problems += [] if said in problems else [said]  # every candidate set asks
        return None
    return frame


def _chosen(file: Path, where: str, metrics: list[str]) -> pl.DataFrame:
    lazy = pl.scan_parquet(file)
    have = [name for name in metrics if name in lazy.collect_schema().names()]
    chosen = lazy.filter(pl.col("candidates") == where).select(
        pl.col("user").cast(pl.String), pl.col(have).cast(pl.Float64)
    )
    return chosen.collect().sort("user")


def _unfit(frame: pl.DataFrame, record: Record, where: str) -> str | None:
    """Say why rows are not those of a record's users; None where they are."""
    users, have = frame["user"], frame.columns[1:]
    if len(frame) != record.users.get(where):
        return f"it has {len(frame):,} {where} users, its record {record.users.get(where, 0):,}"
    if users.null_count() or users.n_unique() < len(users):
        return f"its {where} users are not named, or named twice"
    if (users.str.len_bytes().max() or 0) > _LONGEST:  # type: ignore[operator]
        return f"a name of a user is longer than {_LONGEST:,} bytes"
    means = [record.metrics[where][name] for name in have]
    values = frame.select(have).to_numpy()
    if not np.isfinite(values).all() or not np.allclose(values.mean(axis=0), means, rtol=1e-6, atol=1e-9):
        return f"it does not belong to its record: its {where} means differ"
    return None


def _hash(users: pl.Series) -> str:
    return hashlib.sha256("\0".join(users.to_list()).encode()).hexdigest()
