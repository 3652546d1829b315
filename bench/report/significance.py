"""Statistics of per-user values: intervals over seeds and users, and rows not significantly worse than the best."""

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
"""Maximum bytes of per-user values in memory at a time."""

_LARGEST, _LONGEST = 1 << 30, 1000
"""Maximum bytes of one candidate set's values, and of a user's name; real logs are far below both."""


@dataclass(frozen=True, eq=False)
class Means:
    """A row's bootstrap means (resamples,) by metric, the hash of its users, and their number."""

    users: str
    n: int
    of: dict[str, NDArray[np.float64]]


def complete(block: Block, problems: list[str]) -> None:
    """Replace the intervals of rows with several seeds, and mark the rows that are level with the best.

    A row is level with the best row of its block (controls excluded) if their paired difference has p above 0.05
    after Holm's correction over the compared rows; each metric on each candidate set is a family. A row is not
    compared if it has no usable per-user values, or if its users differ from those of most rows. With fewer than
    `LEAST_USERS` users there are no intervals and no marks.
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
    """Replace the span of the seeds' intervals by intervals over seeds and users."""
    values = row.values[where]
    row.spanned |= any(metric not in drawn and values[metric].low is not None for metric in values)
    for metric, means in drawn.items():
        low, high = interval(means)
        if low < high:
            values[metric] = replace(values[metric], low=low, high=high)


def _count(some: list[Row], rows: list[Row]) -> str:
    return f"{len(some)} of {len(rows)} rows {'has' if len(some) == 1 else 'have'}"


def _mark(rows: list[Row], where: str, means: dict[int, Means]) -> None:
    """Mark the rows level with the best in each metric, and count the users on which a row differs from it."""
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
    # Read again, row by row: the per-user values of a whole block may not fit into memory.
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
    """Resample every row that has per-user values, a few rows at a time, with the same draws of users."""
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
    """Read one candidate set of a per-user file, sorted by user; None when it is missing or does not match."""
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
        problems += [] if said in problems else [said]  # called once per candidate set
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
    """Return why the rows do not match a record's users; None if they match."""
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
