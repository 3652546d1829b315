"""Write and name the files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, did_you_mean
from bench.files.atomic import whole, write_text
from bench.records import slug
from bench.report.board import Board
from bench.report.format import MAIN, checked
from bench.report.grid import Chapter
from bench.report.writers import csv, html, latex, markdown

if TYPE_CHECKING:
    from bench.report.plots import Plot

FORMATS = ("md", "csv", "tex", "html")


def write(
    boards: Sequence[Board],
    folder: Path,
    formats: Sequence[str] = FORMATS,
    *,
    problems: Sequence[str] = (),
    metrics: tuple[str, ...] = MAIN,
    chapters: Sequence[Chapter] = (),
    plots: Sequence[Plot] = (),
) -> list[Path]:
    """Write ``report.md``, ``report.html`` and, for each board and chapter, CSV and LaTeX; return their paths.

    Files contain no dates: the same records in the same place give identical bytes.

    Parameters
    ----------
    boards, problems
        From `bench.report.boards`.
    folder
        Created if it does not exist. The pages give paths of records relative to it.
    formats
        Any of md, csv, tex, html.
    metrics
        Columns of the tables; the CSV has all metrics.
    chapters
        Further tables: comparisons of recommendation with MIR, and of our numbers with published ones.
    plots
        Written as SVG and PNG, and shown in the pages.

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
        figures = [(f"{plot.name}.svg", plot.alt, plot.title) for plot in plots]
        texts["report.md"] = markdown.page(boards, folder, problems, metrics, chapters, figures)
    if "html" in formats:
        texts["report.html"] = html.page("Results", boards, chapters, plots, problems=problems, metrics=metrics)
    for board, name in zip(boards, names(boards), strict=True):
        if "csv" in formats:
            texts[f"{name}.csv"] = csv.table(board)
        if "tex" in formats:
            texts[f"{name}.tex"] = latex.document(board, name, metrics)
    for chapter in chapters:
        if "csv" in formats:
            texts |= {f"{chapter.name}-{grid.name}.csv": csv.grid(grid) for grid in chapter.grids}
        if "tex" in formats:
            texts[f"{chapter.name}.tex"] = latex.tables(chapter.grids, chapter.name, chapter.title, chapter.notes)
    texts |= {f"{plot.name}.svg": plot.svg for plot in plots}
    for name, text in texts.items():
        write_text(folder / name, text)
    images = {f"{plot.name}.png": plot.png for plot in plots}
    for name, content in images.items():
        with whole(folder / name) as temporary:
            temporary.write_bytes(content)
    return [folder / name for name in [*texts, *images]]


def names(boards: Sequence[Board]) -> list[str]:
    """Return a file name for each board: short enough for any file system, and unique even if case is ignored."""
    found: list[str] = []
    for board in boards:
        cutoffs = "-".join(map(str, board.k))[:40]
        base = f"{slug(f'{board.data}-{board.split}')[:120]}-{board.fingerprint[:8]}-k{cutoffs}"
        name, n = base, 2
        while name.lower() in {taken.lower() for taken in found}:
            name, n = f"{base}-{n}", n + 1
        found.append(name)
    return found
