"""The per-user values of a row, from the files beside its records; each file is read once for all candidate sets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.records import Record, users_path
from bench.records.rows import LONGEST_NAME
from bench.report.board import Row
from bench.report.cutoffs import read_values
from bench.report.format import SETS
from bench.text import one_line

_ORDERS = 4
"""Number of orders of users that are remembered."""


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a row on one candidate set.

    users : hash of the users' names
    metrics : names of the M metrics
    table : values (M, S, U) by metric, seed and user, users sorted by name
    """

    users: str
    metrics: list[str]
    table: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Users:
    """The rows (U,) of a file that belong to a candidate set, sorted by user; their hash; why they cannot be used."""

    rows: NDArray[np.intp]
    hash: str
    why: str | None


@dataclass
class Reader:
    """Reads per-user files. Files of one split name the same users in the same order, which is worked out once.

    problems : for each candidate set, why files were left out
    """

    problems: dict[str, list[str]] = field(default_factory=dict)
    _orders: list[tuple[pl.Series, pl.Series, dict[str, _Users]]] = field(default_factory=list)

    def values(self, row: Row, sets: Sequence[str]) -> dict[str, Values]:
        """Return the values of a row on those candidate sets for which every seed has a usable file."""
        seeds = [
            self._read(path, record, {where: list(row.values[where]) for where in sets}) for path, record in row.records
        ]
        found = {}
        for where in sets:
            each = [seed[where] for seed in seeds if where in seed]
            if len(each) < len(seeds):
                continue
            if len({users for users, _ in each}) > 1:
                told = f"{row.extractor} × {row.model}: its seeds were measured on different users ({where})."
                self._say(where, told)
                continue
            metrics = [name for name in row.values[where] if all(name in values for _, values in each)]
            table = np.array([[values[name] for _, values in each] for name in metrics])
            found[where] = Values(each[0][0], metrics, table)
        return found

    def _read(
        self, path: Path, record: Record, wanted: Mapping[str, Sequence[str]]
    ) -> dict[str, tuple[str, dict[str, NDArray[np.float64]]]]:
        """Return by candidate set the hash of the users and their values (U,) by metric, where a file has them."""
        file = users_path(path)
        if not wanted or not os.path.lexists(file):
            return {}
        names = dict.fromkeys(name for metrics in wanted.values() for name in metrics)
        frame = read_values(path, record, names)
        if not isinstance(frame, str):
            try:
                users = self._users(frame["candidates"].cast(pl.String), frame["user"].cast(pl.String))
                columns = {name: frame[name].cast(pl.Float64).to_numpy() for name in frame.columns if name in names}
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
                frame = f"it cannot be read ({error})"
        found = {}
        for where, metrics in wanted.items():
            if isinstance(frame, str):
                self._say(where, f"{file} is left out: {frame}.")
                continue
            values = {name: columns[name][users[where].rows] for name in metrics if name in columns}
            if why := _unfit(users[where], values, record, where):
                self._say(where, f"{file} is left out: {why}.")
            else:
                found[where] = users[where].hash, values
        return found

    def _users(self, candidates: pl.Series, users: pl.Series) -> dict[str, _Users]:
        for known, names, found in self._orders:
            if known.equals(candidates, null_equal=True) and names.equals(users, null_equal=True):
                return found
        found = {where: _sorted(users, candidates == where) for where in SETS}
        self._orders = [*self._orders[-_ORDERS + 1 :], (candidates, users, found)]
        return found

    def _say(self, where: str, text: str) -> None:
        self.problems.setdefault(where, []).append(one_line(text))


def _sorted(users: pl.Series, chosen: pl.Series) -> _Users:
    rows = chosen.fill_null(value=False).arg_true()
    names = users.gather(rows)
    why = None
    if names.null_count() or names.n_unique() < len(names):
        why = "users are not named, or named twice"
    elif (names.str.len_bytes().max() or 0) > LONGEST_NAME:  # type: ignore[operator]
        why = f"users have names of more than {LONGEST_NAME:,} bytes"
    order = names.arg_sort()
    text = "\0".join(names.gather(order).fill_null("").to_list())
    return _Users(rows.gather(order).to_numpy().astype(np.intp), hashlib.sha256(text.encode()).hexdigest(), why)


def _unfit(users: _Users, values: Mapping[str, NDArray[np.float64]], record: Record, where: str) -> str | None:
    """Return why values do not match a record's users; None if they match."""
    if len(users.rows) != record.users.get(where):
        return f"it has {len(users.rows):,} {where} users, its record {record.users.get(where, 0):,}"
    if users.why:
        return f"its {where} {users.why}"
    table = np.array(list(values.values())).reshape(len(values), len(users.rows))
    means = np.array([record.metrics[where][name] for name in values])
    if not (np.abs(table.mean(axis=1) - means) <= 1e-9 + 1e-6 * np.abs(means)).all() or not np.isfinite(table).all():
        return f"it does not belong to its record: its {where} means differ"
    return None
