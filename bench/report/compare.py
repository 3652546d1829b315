"""Compare two rows of a board, listener by listener."""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import BenchError, did_you_mean
from bench.report.board import Board, Row
from bench.report.users import Reader
from bench.report.values import tested
from bench.stats import LEAST_USERS


@dataclass(frozen=True)
class Comparison:
    """The paired difference of two rows, first less second, with its 95 % interval.

    a, b : extractor and model of the rows
    candidates, metric : candidate set, and metric with its k
    mean_a, mean_b : means over users, seeds and folds
    low, high : interval of the difference; None if its variance is unknown or 0
    p : two-sided p, not corrected for other comparisons
    better, worse, users : users whose value is higher in the first row, in the second, and all users
    two_way : whether the variance includes that over the artists of the held-out tracks
    """

    a: str
    b: str
    board: str
    candidates: str
    metric: str
    mean_a: float
    mean_b: float
    difference: float
    low: float | None
    high: float | None
    p: float
    better: int
    worse: int
    users: int
    two_way: bool

    def __str__(self) -> str:
        span = "" if self.low is None or self.high is None else f" [{self.low:+.4f}, {self.high:+.4f}]"
        return (
            f"{self.a} less {self.b}, {self.metric} {self.candidates}: {self.difference:+.4f}{span}, p = {self.p:.2g} "
            f"({self.mean_a:.4f} and {self.mean_b:.4f}; of {self.users} listeners {self.better} higher, "
            f"{self.worse} lower)"
        )


def compare(a: Row, b: Row, candidates: str, metric: str, *, board: str = "") -> Comparison:
    """Compare two rows with the same listeners, from the files beside their records.

    Parameters
    ----------
    a, b
        The rows.
    candidates
        Candidate set: hot, cold or mixed.
    metric
        Metric with its k, such as ``ndcg@10``.
    board
        Title of the board, for display.

    Raises
    ------
    BenchError
        If a row lacks the metric, has no usable per-user file, or has other listeners than the other row, and for
        fewer than `LEAST_USERS` listeners.

    """
    reader, names, found = Reader(), [label(a), label(b)], []
    for row, name in zip((a, b), names, strict=True):
        if row.mean(candidates, metric) is None:
            raise BenchError(f"{name} has no {metric} on {candidates} candidates.")
        values = reader.values(row, [candidates]).get(candidates)
        if values is None or metric not in values.metrics:
            why = " ".join(reader.problems.get(candidates, ())) or "its records have no values of single users."
            raise BenchError(f"{name} cannot be compared: {why}")
        found.append(values)
    first, second = found
    if first.users != second.users:
        raise BenchError(f"{names[0]} and {names[1]} were measured on different users; there are no pairs.")
    users = first.table.shape[2]
    if users < LEAST_USERS:
        raise BenchError(f"{names[0]} and {names[1]} have fewer than {LEAST_USERS} users in common.")
    (test,) = tested([(first, second, metric)], 1)
    effect = first.less(second, metric)
    span = effect.interval()
    gains = first.of(metric).mean(axis=0) - second.of(metric).mean(axis=0)
    return Comparison(
        a=names[0],
        b=names[1],
        board=board,
        candidates=candidates,
        metric=metric,
        mean_a=float(first.of(metric).mean()),
        mean_b=float(second.of(metric).mean()),
        difference=effect.mean,
        low=span.low if span else None,
        high=span.high if span else None,
        p=test.p,
        better=int((gains > 0).sum()),
        worse=int((gains < 0).sum()),
        users=users,
        two_way=first.is_paired(second),
    )


def find_row(board: Board, name: str) -> Row:
    """Return the row of a board that a name means.

    Parameters
    ----------
    board
        The board.
    name
        ``EXTRACTOR x MODEL``, followed by `` (LANE)`` if several lanes have it; or the extractor or the model alone, if
        one row has it.

    Raises
    ------
    BenchError
        If no row has the name, or several rows.

    """
    names = {
        id(row): [row.extractor, row.model, label(row), f"{label(row)} ({block.lane})"]
        for block in board.blocks
        for row in block.all
    }
    found = [row for row in board.rows if name in names[id(row)]]
    if not found:
        raise BenchError(f"there is no row {name!r}.{did_you_mean(name, {each[2] for each in names.values()})}")
    if len(found) > 1:
        raise BenchError(f"{name!r} could be {', '.join(names[id(row)][3] for row in found)}: name one of them.")
    return found[0]


def label(row: Row) -> str:
    """Return the name of a row."""
    return f"{row.extractor} x {row.model}"
