"""Statistics of per-user values: intervals over seeds and users, and rows not significantly worse than the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bench.report.board import Block, Row
from bench.report.format import SETS
from bench.report.users import Reader, Values
from bench.stats import LEAST_USERS, RESAMPLES, Scores, holm, paired_tests, percentiles, two_level

ALPHA = 0.05

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
    scores : by row and metric, what tests need; rows that do not fit into memory are absent
    waiting : by hash of the users, values to be resampled together
    intervals : by row and metric, the bounds over seeds and users
    """

    where: str
    drawn: Collection[str]
    usable: dict[int, tuple[str, int, list[str]]] = field(default_factory=dict)
    scores: dict[int, dict[str, Scores]] = field(default_factory=dict)
    waiting: dict[str, list[_Waiting]] = field(default_factory=dict)
    intervals: dict[int, dict[str, tuple[float, float]]] = field(default_factory=dict)

    def add(self, row: Row, values: Values) -> int:
        """Take the values of a row; return the bytes that resampling them takes."""
        n = values.table.shape[2]
        self.usable[id(row)] = values.users, n, values.metrics
        several = len(row.records) > 1
        chosen = [at for at, name in enumerate(values.metrics) if several or name in self.drawn]
        if not chosen or n < LEAST_USERS:
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
                named = dict(zip(one.metrics, means.T, strict=True))
                one.row.draws[self.where] = {
                    name: column.copy() for name, column in named.items() if name in self.drawn
                }
                if len(one.row.records) > 1:
                    bounds = zip(*(each.tolist() for each in percentiles(means)), strict=True)
                    self.intervals[id(one.row)] = dict(zip(one.metrics, bounds, strict=True))
        self.waiting = {}


def complete(block: Block, problems: list[str], drawn: Collection[str]) -> None:
    """Replace the intervals of rows with several seeds, and mark the rows that are level with the best.

    A row is level with the best row of its block (controls excluded) if their paired difference has p above 0.05
    after Holm's correction over the compared rows; each metric on each candidate set is a family. A row is not
    compared if it has no usable per-user values, or if its users differ from those of most rows. With fewer than
    `LEAST_USERS` users there are no intervals and no marks.

    Parameters
    ----------
    block
        Its rows are changed.
    problems
        Receives a line for each per-user file that cannot be used.
    drawn
        Metrics (``ndcg@10``) whose bootstrap means the rows keep.

    """
    if any(len(row.folds) > 1 for row in block.all):
        several = [where for where in SETS if sum(bool(row.values.get(where)) for row in block.rows) > 1]
        block.undecided = dict.fromkeys(several, "the values are means over folds")
        return
    reader = Reader()
    sets = {where: _Set(where, drawn) for where in SETS}
    competing = {where: [row for row in block.rows if row.values.get(where)] for where in SETS}
    waiting = held = 0
    for row in block.all:
        compared = [where for where in SETS if row.values.get(where) and len(competing[where]) > 1 and not row.control]
        wanted = [where for where in SETS if row.values.get(where)] if len(row.records) > 1 else compared
        for where, values in reader.values(row, wanted).items():
            waiting += sets[where].add(row, values)
            if where in compared and held < _HELD:
                sets[where].scores[id(row)] = _scores(values)
                held += values.table[:, 0].nbytes
        if waiting > _RESAMPLED:
            for each in sets.values():
                each.resample()
            waiting = 0
    for where, found in sets.items():
        found.resample()
        for row in block.all:
            if row.values.get(where) and len(row.records) > 1:
                _widen(row, where, found.intervals.get(id(row), {}))
        _compare(block, competing[where], found, reader)
    problems += dict.fromkeys(text for where in SETS for text in reader.problems.get(where, ()))


def _compare(block: Block, competing: list[Row], found: _Set, reader: Reader) -> None:
    """Mark the rows that are level with the best, or record why that is undecided."""
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
        alike = [row for row in tested if usable[id(row)][0] == by_users[0][0]]
        block.untested += [row for row in competing if id(row) not in usable and row not in block.untested]
        others = [row for row in tested if usable[id(row)][0] != by_users[0][0]]
        block.elsewhere += [row for row in others if row not in block.elsewhere]
        if usable[id(alike[0])][1] < LEAST_USERS:
            block.undecided[found.where] = f"there are fewer than {LEAST_USERS} users"
        else:
            _mark(alike, found, reader)


def _widen(row: Row, where: str, intervals: Mapping[str, tuple[float, float]]) -> None:
    """Replace the span of the seeds' intervals by intervals over seeds and users."""
    values = row.values[where]
    row.spanned |= any(metric not in intervals and values[metric].low is not None for metric in values)
    for metric, (low, high) in intervals.items():
        if low < high:
            values[metric] = replace(values[metric], low=low, high=high)


def _count(some: list[Row], rows: list[Row]) -> str:
    return f"{len(some)} of {len(rows)} rows {'has' if len(some) == 1 else 'have'}"


def _mark(rows: list[Row], found: _Set, reader: Reader) -> None:
    """Mark the rows level with the best in each metric, and count the users on which a row differs from it."""
    where = found.where

    def scores(row: Row) -> dict[str, Scores]:
        # The values of a whole block may not fit into memory: the rest is read again, row by row.
        held = found.scores.get(id(row))
        return _scores(reader.values(row, [where])[where]) if held is None else held

    having = {
        metric: [row for row in rows if metric in found.usable[id(row)][2]]
        for metric in dict.fromkeys(metric for row in rows for metric in found.usable[id(row)][2])
    }
    best = {
        metric: max(each, key=lambda row: row.values[where][metric].mean)
        for metric, each in having.items()
        if len(each) > 1
    }
    tops = {metric: scores(row)[metric] for metric, row in best.items()}
    p: dict[str, dict[str, float]] = {metric: {} for metric in best}
    held = [at for at, row in enumerate(rows) if id(row) in found.scores]
    for part in (held, *([at] for at, row in enumerate(rows) if id(row) not in found.scores)):
        jobs: dict[int, list[tuple[str, int, Scores]]] = {}
        for at in part:
            for metric, one in scores(rows[at]).items():
                if metric in best and best[metric] is not rows[at]:
                    jobs.setdefault(len(having[metric]) - 1, []).append((metric, at, one))
        for comparisons, asked in jobs.items():
            tests = paired_tests([(tops[metric], one) for metric, _, one in asked], comparisons=comparisons)
            for (metric, at, _), test in zip(asked, tests, strict=True):
                p[metric][str(at)] = test.p
                rows[at].values[where][metric] = replace(rows[at].values[where][metric], differ=test.different)
    for metric, each in p.items():
        level = [rows[int(at)] for at, q in holm(each).items() if q > ALPHA]
        for row in (best[metric], *level):
            row.values[where][metric] = replace(row.values[where][metric], best=True)


def _scores(values: Values) -> dict[str, Scores]:
    return {name: Scores.of(table) for name, table in zip(values.metrics, values.table, strict=True)}
