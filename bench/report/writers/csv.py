"""CSV: a line per value of a board, or a finished table: for spreadsheets, notebooks, other people's plots."""

from __future__ import annotations

import csv
import io

from bench.report.board import Board, Row, Value
from bench.report.format import NONE, parts
from bench.report.grid import Grid

HEADER = (
    "data", "split", "set", "extractor", "model", "lane", "metric", "k", "seeds", "value", "low", "high",
    "chance", "control",
)  # fmt: skip


def table(board: Board) -> str:
    """Return the values of every row, metrics beyond accuracy included; what is absent is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for block in board.blocks:
        for row in block.all:
            for where in board.sets:
                for metric, value in _values(row, where):
                    name, k = parts(metric)
                    writer.writerow([
                        board.data, f"{board.split}-{board.fingerprint[:8]}", where, row.extractor, row.model,
                        block.lane, name, k, len(row.records), _digits(value.mean), _digits(value.low),
                        _digits(value.high), _digits(row.chance.get(where, {}).get(metric)),
                        str(row.control).lower(),
                    ])  # fmt: skip
    return out.getvalue()


def grid(table: Grid) -> str:
    """Return a finished table as it stands, numbers with all their digits; the section is the first column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["section", *(f"{head.group} {head.heading}".strip() for head in table.heads)])
    for section in table.sections:
        for row in section.rows:
            cells = [_digits(cell.value) if cell.value is not None else cell.text for cell in row]
            writer.writerow([section.title, *("" if text == NONE else text for text in cells)])
    return out.getvalue()


def _values(row: Row, where: str) -> list[tuple[str, Value]]:
    beyond = [(metric, Value(mean)) for metric, mean in row.beyond.get(where, {}).items()]
    return [*row.values.get(where, {}).items(), *beyond]


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
