"""The report as one Markdown page."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

from bench.report import layout
from bench.report.grid import Cell, Grid
from bench.report.table import Board
from bench.report.words import SET_GLOSSARY, glossary, parts, word

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$])")


def page(boards: Sequence[Board], folder: Path, problems: Sequence[str], metrics: Sequence[str]) -> str:
    """Return the whole page; paths of records are relative to `folder`, where the page will stand."""
    out = ["# Results", ""]
    if not boards:
        out += ["There is no readable record.", ""]
    for board in boards:
        out += _board(board, folder, metrics)
    if boards:
        out += _glossary(boards, metrics)
    if problems:
        out += ["## Left out", "", *(f"- {escape(problem)}" for problem in problems), ""]
    return "\n".join(out)


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, in table cells too."""
    return _SPECIAL.sub(r"\\\1", text)


def table(grid: Grid) -> list[str]:
    """Return an aligned pipe table; each section with a title starts with a row that holds it."""
    titles = [escape(f"{head.group} {head.heading}".strip()) for head in grid.heads]
    body: list[list[str]] = []
    for section in grid.sections:
        if section.title and section.rows:
            body.append([f"*{escape(section.title)}*", *[""] * (len(titles) - 1)])
        body += [[_cell(cell) for cell in row] for row in section.rows]
    widths = [max(3, *(cell_len(row[i]) for row in [titles, *body])) for i in range(len(titles))]

    def joined(cells: Sequence[str]) -> str:
        padded = [
            " " * (width - cell_len(cell)) + cell if head.right else cell + " " * (width - cell_len(cell))
            for cell, width, head in zip(cells, widths, grid.heads, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (w - 1) + ":" if h.right else "-" * w for w, h in zip(widths, grid.heads, strict=True)]
    return [joined(titles), f"| {' | '.join(rule)} |", *map(joined, body), ""]


def _cell(cell: Cell) -> str:
    return f"**{escape(cell.text)}**" if cell.bold else escape(cell.text)


def _board(board: Board, folder: Path, metrics: Sequence[str]) -> list[str]:
    out = [f"## {escape(board.title)}", ""]
    for block in board.blocks:
        out += [f"### {layout.LANE_HEADINGS[block.lane]}", ""]
        if note := layout.LANE_NOTES.get(block.lane):
            out += [note, ""]
        out += table(layout.main_grid(board, block, metrics))
        for grid in layout.detail_grids(board, block, metrics):
            out += [f"#### {escape(grid.title)}", "", *table(grid)]
    out += ["### Notes", "", *(f"- {escape(note.text)}" for note in board.notes), ""]
    return [*out, *_repeat(board, folder)]


def _repeat(board: Board, folder: Path) -> list[str]:
    """One command per record, to be typed in the folder of the page."""
    out = ["### Repeat", "", "In the folder of this page:", "", "```sh"]
    for block in board.blocks:
        for row in block.all:
            out.append(f"# {row.extractor} × {row.model} ({block.lane})")
            out += [f"bench run --from {shlex.quote(relative(path, folder))}" for path, _ in row.records]
    return [*out, "```", ""]


def relative(path: Path, folder: Path) -> str:
    """Return `path` as seen from `folder`, with forward slashes."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def _glossary(boards: Sequence[Board], metrics: Sequence[str]) -> list[str]:
    """One line for every metric and candidate set that the page shows."""
    names = [name for name in metrics if any(board.metrics([name]) for board in boards)]
    beyond = {parts(m)[0] for b in boards for row in b.rows for named in row.beyond.values() for m in named}
    known = [(name, meaning) for name in [*names, *sorted(beyond)] if (meaning := glossary(name))]
    lines = [f"- **{escape(word(name))}**: {escape(meaning)}." for name, meaning in known]
    sets = [where for where in SET_GLOSSARY if any(where in board.sets for board in boards)]
    return ["## Glossary", "", *lines, *(f"- **{where}**: {SET_GLOSSARY[where]}." for where in sets), ""]
