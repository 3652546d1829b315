"""The values of a row, from the files beside its records; each file is read once for all candidate sets.

The ranks of held-out items give all values. Records without usable ranks have a file with the values of every user.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.metrics.from_ranks import hits_of
from bench.metrics.ranking import METRICS, values_of
from bench.records import Record, ranks_path, users_path
from bench.records.ranks import HeldOut, read_ranks
from bench.records.rows import LONGEST_NAME, read_rows
from bench.report.board import Row
from bench.report.format import SETS
from bench.report.pairs import Layouts, Ordered, Pairs
from bench.report.values import Values
from bench.text import one_line

_ORDERS = 8
"""Number of orders of users that are remembered."""


@dataclass(frozen=True, eq=False)
class _Users:
    """The rows (U,) of a file that belong to a candidate set, sorted by user; names, hash, why they cannot be used."""

    rows: NDArray[np.intp]
    names: pl.Series
    hash: str
    why: str | None


@dataclass(frozen=True, eq=False)
class _One:
    """The users of one record on one candidate set, their values (U,) by metric, and the held-out pairs if known."""

    users: _Users
    values: dict[str, NDArray[np.float64]]
    pairs: Ordered | None = None


@dataclass
class Reader:
    """Reads the files of ranks, and per-user files where there are none.

    Files of one split name the same users in the same order, which is worked out once.

    problems : for each candidate set, why files were left out
    """

    problems: dict[str, list[str]] = field(default_factory=dict)
    _layouts: Layouts = field(default_factory=Layouts)
    _orders: list[tuple[pl.Series, pl.Series, dict[str, _Users]]] = field(default_factory=list)

    def values(self, row: Row, sets: Sequence[str]) -> dict[str, Values]:
        """Return the values of a row on those candidate sets for which every record has a usable file."""
        wanted = {where: list(row.values[where]) for where in sets}
        by_fold: dict[str, list[dict[str, _One]]] = {}
        for path, record in row.records:
            by_fold.setdefault(record.split.fingerprint, []).append(self._read(path, record, wanted))
        found = {}
        for where in sets:
            folds = [[seed[where] for seed in seeds if where in seed] for seeds in by_fold.values()]
            if sum(map(len, folds)) < len(row.records):
                continue
            if any(len({one.users.hash for one in seeds}) > 1 for seeds in folds):
                told = f"{row.extractor} × {row.model}: its seeds were measured on different users ({where})."
                self._say(where, told)
                continue
            pairs = [[one.pairs for one in seeds if one.pairs] for seeds in folds]
            whole = sum(map(len, pairs)) == len(row.records)
            found[where] = _joined(wanted[where], folds, self._layouts.pairs(pairs) if whole else None)
        return found

    def _read(self, path: Path, record: Record, wanted: Mapping[str, Sequence[str]]) -> dict[str, _One]:
        """Return by candidate set the users of a record and their values, where its files have them."""
        if not wanted:
            return {}
        if record.ranks:
            found = read_ranks(path, record)
            if not isinstance(found, str):
                return self._ranked(found, path, record, wanted)
            for where in wanted:
                self._say(where, f"{ranks_path(path)} is left out: {found}.")
        return self._read_users(path, record, wanted) if os.path.lexists(users_path(path)) else {}

    def _ranked(
        self, held_out: Mapping[str, HeldOut], path: Path, record: Record, wanted: Mapping[str, Sequence[str]]
    ) -> dict[str, _One]:
        found = {}
        for where, metrics in wanted.items():
            held = held_out[where]
            users = self._users(pl.repeat(where, len(held.listeners), eager=True), held.listeners)[where]
            hits, _ = hits_of(held, max(record.k))
            values = {}
            for k in record.k:
                names = [name for name in METRICS if f"{name}@{k}" in metrics]
                values.update({name: one[users.rows] for name, one in values_of(hits, [k], names).items()})
            if why := _unfit(users, values, record, where):
                self._say(where, f"{ranks_path(path)} is left out: {why}.")
            else:
                found[where] = _One(users, values, None if where == "hot" else Ordered.of(held))
        return found

    def _read_users(self, path: Path, record: Record, wanted: Mapping[str, Sequence[str]]) -> dict[str, _One]:
        """Return what `_read` returns, from the values of every user."""
        file = users_path(path)
        names = dict.fromkeys(name for metrics in wanted.values() for name in metrics)
        frame = read_rows(file, record, ["candidates", "user", *names])
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
                found[where] = _One(users[where], values)
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


def _joined(metrics: Sequence[str], folds: Sequence[Sequence[_One]], pairs: Pairs | None) -> Values:
    """Return the values of the seeds of every fold; several folds are averaged.

    A user's share in the mean over F folds is the sum of the user's values in them, each divided by F and by the
    number of users of the fold.
    """
    every = [one for seeds in folds for one in seeds]
    kept = [name for name in metrics if all(name in one.values for one in every)]
    tables = [np.array([[one.values[name] for one in seeds] for name in kept]) for seeds in folds]
    if len(folds) == 1:
        return Values(every[0].users.hash, kept, tables[0], pairs)
    names = [seeds[0].users.names for seeds in folds]
    users = pl.concat(names).unique().sort()
    table = np.zeros((*tables[0].shape[:2], len(users)))
    for theirs, values in zip(names, tables, strict=True):
        table[:, :, users.search_sorted(theirs).to_numpy()] += values * (len(users) / len(folds) / len(theirs))
    return Values(_hash(seeds[0].users.hash for seeds in folds), kept, table, pairs)


def _sorted(users: pl.Series, chosen: pl.Series) -> _Users:
    rows = chosen.fill_null(value=False).arg_true()
    names = users.gather(rows)
    why = None
    if names.null_count() or names.n_unique() < len(names):
        why = "users are not named, or named twice"
    elif (names.str.len_bytes().max() or 0) > LONGEST_NAME:  # type: ignore[operator]
        why = f"users have names of more than {LONGEST_NAME:,} bytes"
    order = names.arg_sort()
    names = names.gather(order)
    return _Users(rows.gather(order).to_numpy().astype(np.intp), names, _hash(names.fill_null("").to_list()), why)


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


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
