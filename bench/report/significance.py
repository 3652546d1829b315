"""Statistics of a block from the files beside its records: intervals, tests, and bootstrap means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bench.report.board import Block, Row
from bench.report.controls import Read, compare_with_controls, control_rows
from bench.report.evidence import compare
from bench.report.format import SETS
from bench.report.users import Reader
from bench.report.values import Values
from bench.stats import LEAST_USERS, RESAMPLES, Interval, two_level

_RESAMPLED, _HELD = 32 << 20, 256 << 20
"""Maximum bytes of values that wait for resampling, and of values that wait for tests."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    """Values (M, S, U) of a row that wait for resampling."""

    row: Row
    metrics: list[str]
    table: NDArray[np.float64]


@dataclass
class _Set:
    """The rows of a block on one candidate set, while their values are read.

    drawn : metrics whose bootstrap means the rows keep
    usable : by row, the hash and number of its users, and the metrics that its files have
    held : by row, its values; rows that do not fit into memory are absent
    waiting : by hash of the users, values to be resampled together
    intervals : by row and metric, the bounds over seeds and users, and over artists if the items are new
    """

    where: str
    drawn: Collection[str]
    usable: dict[int, tuple[str, int, list[str]]] = field(default_factory=dict)
    held: dict[int, Values] = field(default_factory=dict)
    waiting: dict[str, list[_Waiting]] = field(default_factory=dict)
    intervals: dict[int, dict[str, Interval]] = field(default_factory=dict)

    def add(self, row: Row, values: Values) -> int:
        """Take the values of a row; return the bytes that resampling them takes."""
        n = values.table.shape[2]
        self.usable[id(row)] = values.users, n, values.metrics
        row.by_listeners |= values.pairs is None and self.where != "hot"
        if n < LEAST_USERS:
            return 0
        if len(row.records) > 1:
            found = {metric: values.interval(metric) for metric in values.metrics}
            self.intervals[id(row)] = {metric: span for metric, span in found.items() if span}
        chosen = [at for at, name in enumerate(values.metrics) if name in self.drawn]
        if not chosen:
            return 0
        one = _Waiting(row, [values.metrics[at] for at in chosen], values.table[chosen])
        self.waiting.setdefault(values.users, []).append(one)
        return int(one.table.nbytes // n * (n + RESAMPLES))

    def resample(self) -> None:
        """Resample the users of the waiting rows, with the same draws for all."""
        for batch in self.waiting.values():
            keys = [int(one.row.identity[:12], 16) for one in batch]
            found = two_level([one.table.transpose(1, 2, 0) for one in batch], keys)
            for one, means in zip(batch, found, strict=True):
                one.row.draws[self.where] = {
                    name: column.copy() for name, column in zip(one.metrics, means.T, strict=True)
                }
        self.waiting = {}


def complete(block: Block, problems: list[str], drawn: Collection[str], full: Collection[str], ranked_by: str) -> None:
    """Compute the intervals of rows with several records, and compare the rows with the best one and their controls.

    A row is not told apart from the best row of its block (controls excluded) if their paired difference has p above
    0.05 after Holm's correction over the compared rows; each metric on each candidate set is a family. A row is not
    compared if it has no usable files, or if its users differ from those of most rows. With fewer than `LEAST_USERS`
    users there are no intervals and no marks.

    Parameters
    ----------
    block
        Its rows are changed.
    problems
        Receives a line for each file that cannot be used.
    drawn
        Metrics (``ndcg@10``) whose bootstrap means the rows keep.
    full
        Metrics whose differences and gains over shuffled rows the rows keep.
    ranked_by
        The metric (``ndcg@10``) in which rows are compared with their controls.

    """
    reader = Reader()
    sets = {where: _Set(where, drawn) for where in SETS}
    competing = {where: [row for row in block.rows if row.values.get(where)] for where in SETS}
    floors = {id(floor) for row in block.rows for floor in control_rows(block, row)}
    waiting = held = 0
    for row in block.all:
        needed = not row.control or id(row) in floors
        compared = [
            where for where in SETS if row.values.get(where) and needed and (floors or len(competing[where]) > 1)
        ]
        wanted = [where for where in SETS if row.values.get(where)] if len(row.records) > 1 else compared
        for where, values in reader.values(row, wanted).items():
            waiting += sets[where].add(row, values)
            if where in compared and held < _HELD:
                sets[where].held[id(row)] = values
                held += values.size
        if waiting > _RESAMPLED:
            for each in sets.values():
                each.resample()
            waiting = 0
    for where, found in sets.items():
        found.resample()
        for row in block.all:
            if row.values.get(where) and len(row.records) > 1:
                _widen(row, where, found.intervals.get(id(row), {}))

        def read(row: Row, found: _Set = found) -> Values | None:
            # The values of a whole block may not fit into memory: the rest is read again, row by row.
            if found.usable.get(id(row), ("", 0))[1] < LEAST_USERS:
                return None
            return found.held.get(id(row)) or reader.values(row, [found.where]).get(found.where)

        _compare(block, competing[where], found, read, full)
        compare_with_controls(block, where, competing[where], ranked_by, read)
    problems += dict.fromkeys(text for where in SETS for text in reader.problems.get(where, ()))


def _compare(block: Block, competing: list[Row], found: _Set, read: Read, full: Collection[str]) -> None:
    """Compare the rows with the best one, or record why they cannot be compared."""
    usable = found.usable
    tested = [row for row in competing if id(row) in usable]
    by_users = Counter(usable[id(row)][0] for row in tested).most_common(2)
    if len(competing) < 2:
        block.undecided[found.where] = "there is a single row"
    elif len(tested) < 2:
        missing = [row for row in competing if id(row) not in usable]
        block.undecided[found.where] = f"{_count(missing, competing)} no usable per-user file"
    elif len(by_users) > 1 and by_users[0][1] == by_users[1][1]:
        block.undecided[found.where] = "the rows were measured on different users"
    else:
        users = by_users[0][0]
        alike = [row for row in tested if usable[id(row)][0] == users]
        block.untested += [row for row in competing if id(row) not in usable and row not in block.untested]
        others = [row for row in tested if usable[id(row)][0] != users]
        block.elsewhere += [row for row in others if row not in block.elsewhere]
        if usable[id(alike[0])][1] < LEAST_USERS:
            block.undecided[found.where] = f"there are fewer than {LEAST_USERS} users"
            return

        def read_alike(row: Row) -> Values | None:
            return read(row) if usable.get(id(row), ("",))[0] == users else None

        metrics = {id(row): usable[id(row)][2] for row in alike}
        held = [at for at, row in enumerate(alike) if id(row) in found.held]
        compare(block, found.where, alike, metrics, read_alike, held, full)


def _widen(row: Row, where: str, intervals: Mapping[str, Interval]) -> None:
    """Replace the span of the records' intervals by intervals over listeners, artists and seeds."""
    values = row.values[where]
    row.spanned |= any(metric not in intervals and values[metric].low is not None for metric in values)
    for metric, (low, high) in intervals.items():
        if low < high:
            values[metric] = replace(values[metric], low=low, high=high)


def _count(some: list[Row], rows: list[Row]) -> str:
    return f"{len(some)} of {len(rows)} rows {'has' if len(some) == 1 else 'have'}"
