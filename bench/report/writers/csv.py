"""CSV files for spreadsheets and notebooks: a line per value of a board, or a finished table."""

from __future__ import annotations

import csv
import io
import re

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
    """Return the values of every row, including beyond-accuracy metrics; missing values are empty.

    `seeds` is their number; `by_fold` has the mean of each fold of a board of several folds. The columns from `gain` on
    are the evidence (`bench.report.board.Evidence`); the main metrics at the first k have gains and differences.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    split = f"{board.split}-{board.fingerprint[:8]}"
    for block in board.blocks:
        for row in block.all:
            for where in board.sets:
                names = [*map(escape, (board.data, split, where, row.extractor, row.model, block.lane))]
                for metric, value in _values(row, where):
                    name, k = parts(metric)
                    numbers = map(_digits, (value.mean, value.low, value.high, row.chance.get(where, {}).get(metric)))
                    by_fold = " ".join(map(_digits, row.by_fold(where, metric) if board.folds > 1 else ()))
                    end = (str(row.control).lower(), by_fold, budgets.settings(row))
                    writer.writerow(
                        [*names, escape(name), k, len(row.seeds), *numbers, *end, *_evidence(value.evidence)]
                    )
    return out.getvalue()


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


def _evidence(one: Evidence | None) -> list[str]:
    if one is None:
        return [""] * 11
    effects = [text for each in (one.gain, one.difference) for text in _effect(each)]
    counts = ["" if one.differ is None else str(one.differ), _digits(one.p), str(one.comparisons), _digits(one.margin)]
    return [*effects, *counts, one.verdict]


def _effect(found: Components | None) -> list[str]:
    if found is None:
        return [""] * 3
    span = found.interval()
    return [_digits(found.mean), *(map(_digits, span) if span else ("", ""))]


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
