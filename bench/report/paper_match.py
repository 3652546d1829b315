"""Match our rows with published ones."""

from __future__ import annotations

from collections.abc import Sequence

from bench.published import Paper
from bench.report.board import Board, Row
from bench.text import one_line


def beside(paper: Paper, boards: Sequence[Board]) -> Board | None:
    """Return a board on the paper's split, preferably one whose sizes match the printed sizes."""

    def unlike(board: Board) -> tuple[bool, int]:
        return (not matches(board).startswith("matches"), -len(board.rows))

    found = [b for b in boards if (b.data, b.split) == (paper.data, paper.split) and not _foreign(b)]
    return min(found, key=unlike, default=None)


def _foreign(board: Board) -> bool:
    return all(row.imported for row in board.rows)


def matches(board: Board) -> str:
    """Return how the sizes of the board's split compare with the printed ones."""
    first = next((row.first for row in board.rows if row.first), None)
    return one_line(first.split.published or "was not compared with the printed sizes") if first else ""


def embedding_of(row: Row) -> str:
    """Return the name of a row's extractor; ``shuffled:NAME`` if its vectors are shuffled."""
    if row.first is None:
        return ""
    name = row.first.extractor.name
    if name == "shuffled":
        of = row.first.extractor.spec.partition("of=")[2].strip("()")
        return f"shuffled:{of.partition(':')[0].partition('+')[0]}"
    return name


def model_of(row: Row) -> str:
    """Return the name of a row's recommender, without settings."""
    return row.first.recommender.name if row.first else ""
