"""CSV files for spreadsheets and notebooks: a line per value of a board, or a finished table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from bench.report import budgets
from bench.report.board import Board, Row
from bench.report.format import NONE, parts
from bench.report.grid import Grid
from bench.report.value import Evidence, Value
from bench.stats import Components
from bench.text import one_line

HEADER = (
    "data", "split", "set", "extractor", "model", "lane", "metric", "k", "seeds", "value", "low", "high",
    "chance", "control", "by_fold", "settings", "gain", "gain_low", "gain_high", "difference", "difference_low",
    "difference_high", "differ", "p_holm", "comparisons", "margin", "verdict",
)  # fmt: skip

_FORMULA = re.compile(r"[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+( %)?")


def escape(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would evaluate as a formula."""
    said = one_line(text)
    return f"'{said}" if _FORMULA.match(said) and not _NUMBER.fullmatch(said) else said


def table(board: Board) -> str:
    """Return the values of every row as `lines` does; missing values are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([_written(value) for value in line] for line in lines(board))
    return out.getvalue()


def lines(board: Board) -> Iterator[list[Any]]:
    """Yield a line of values in the order of `HEADER` for every value of a board, beyond-accuracy metrics included.

    `seeds` is their number; `by_fold` has the mean of each fold of a board of several folds. The columns from `gain` on
    are the evidence (`bench.report.board.Evidence`); the main metrics at the first k have gains and differences.
    """
    split = f"{board.split}-{board.fingerprint[:8]}"
    for block in board.blocks:
        for row in block.all:
            settings = budgets.settings(row)
            for where in board.sets:
                for metric, value in _values(row, where):
                    name, k = parts(metric)
                    by_fold = row.by_fold(where, metric) if board.folds > 1 else []
                    chance = row.chance.get(where, {}).get(metric)
                    yield [
                        *(board.data, split, where, row.extractor, row.model, block.lane, name, k, len(row.seeds)),
                        *(value.mean, value.low, value.high, chance, row.control, by_fold, settings),
                        *_evidence(value.evidence),
                    ]


def grid(table: Grid) -> str:
    """Return a finished table with numbers in full precision; the first column is the section."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["section", *(escape(f"{head.group} {head.heading}") for head in table.heads)])
    for section in table.sections:
        for row in section.rows:
            cells = [_digits(cell.value) if cell.value is not None else escape(cell.text) for cell in row]
            writer.writerow([escape(section.title), *("" if text == NONE else text for text in cells)])
    return out.getvalue()


def _values(row: Row, where: str) -> list[tuple[str, Value]]:
    beyond = [(metric, Value(mean)) for metric, mean in row.beyond.get(where, {}).items()]
    return [*row.values.get(where, {}).items(), *beyond]


def _evidence(one: Evidence | None) -> list[Any]:
    if one is None:
        return [None] * 11
    effects = [bound for each in (one.gain, one.difference) for bound in _effect(each)]
    return [*effects, one.differ, one.p, one.comparisons, one.margin, one.verdict]


def _effect(found: Components | None) -> list[float | None]:
    return [None] * 3 if found is None else [found.mean, *(found.interval() or (None, None))]


def _written(value: Any) -> str:
    """Return a value as text: numbers with six digits, truth values in lower case."""
    if value is None or isinstance(value, float):
        return _digits(value)
    if isinstance(value, list):
        return " ".join(map(_digits, value))
    return escape(value) if isinstance(value, str) else str(value).lower()


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
