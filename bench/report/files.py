"""Where the files of a report stand and how they are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError, did_you_mean
from bench.files import write_text
from bench.report import latex, markdown, tidy
from bench.report.table import Board
from bench.report.words import MAIN, checked
from bench.results import slug

FORMATS = ("md", "csv", "tex")


def write(
    boards: Sequence[Board],
    folder: Path,
    formats: Sequence[str] = FORMATS,
    *,
    problems: Sequence[str] = (),
    metrics: tuple[str, ...] = MAIN,
) -> list[Path]:
    """Write ``report.md`` and, for each board, a ``.csv`` and a ``.tex``; return their paths.

    The same records in the same place give the same bytes: there are no dates.

    Parameters
    ----------
    boards, problems
        From `bench.report.boards`.
    folder
        Made if it does not exist. Paths of records in the page are relative to it.
    formats
        Any of md, csv, tex.
    metrics
        Columns of the tables; the CSV has all metrics.

    Raises
    ------
    BenchError
        For an unknown format or metric, or a folder that cannot be written.

    """
    metrics = checked(metrics)
    for name in formats:
        if name not in FORMATS:
            raise BenchError(f"there is no report format {name!r}.{did_you_mean(name, FORMATS)}")
    texts: dict[str, str] = {}
    if "md" in formats:
        texts["report.md"] = markdown.page(boards, folder, problems, metrics)
    for board, name in zip(boards, _names(boards), strict=True):
        if "csv" in formats:
            texts[f"{name}.csv"] = tidy.table(board)
        if "tex" in formats:
            texts[f"{name}.tex"] = latex.document(board, name, metrics)
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def _names(boards: Sequence[Board]) -> list[str]:
    """One file name a board, different also where case does not count."""
    names: list[str] = []
    for board in boards:
        base = slug(f"{board.data}-{board.split}-{board.fingerprint[:8]}-k{'-'.join(map(str, board.k))}")
        name, n = base, 2
        while name.lower() in {taken.lower() for taken in names}:
            name, n = f"{base}-{n}", n + 1
        names.append(name)
    return names
