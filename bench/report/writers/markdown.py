"""The report as one Markdown page."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

from bench.report import columns
from bench.report.board import Board
from bench.report.evidence_grid import evidence_grid
from bench.report.format import SET_GLOSSARY, glossary, heading, parts
from bench.report.grid import Cell, Chapter, Grid
from bench.text import one_line

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$]|(?<=\w):(?=//)|(?<=\bwww)\.)")
"""Matches Markdown syntax within a line, and addresses that would become links."""

_START = re.compile(r"^([#+=-]|\d+(?=[.)]))")
"""Matches Markdown syntax at the start of a line: headings, lists, rules."""


def page(
    boards: Sequence[Board],
    folder: Path,
    problems: Sequence[str],
    metrics: Sequence[str],
    chapters: Sequence[Chapter] = (),
    figures: Sequence[tuple[str, str, str]] = (),
) -> str:
    """Return the whole page; paths of records are relative to `folder`, where the page will stand.

    `figures` are (file name, alternative text, caption) of images beside the page.
    """
    out = ["# Results", ""]
    if not boards and not chapters:
        out += ["There is no readable record.", ""]
    for board in boards:
        out += _board(board, folder, metrics)
    for chapter in chapters:
        out += _chapter(chapter)
    if figures:
        out += ["## Figures", ""]
        for name, alt, caption in figures:
            out += [f"![{escape(alt)}]({name})", "", paragraph(caption), ""]
    if terms := explained(boards, metrics):
        out += ["## Glossary", "", *(f"- **{escape(word)}**: {escape(meaning)}." for word, meaning in terms), ""]
    if problems:
        out += ["## Left out", "", *(f"- {paragraph(problem)}" for problem in problems), ""]
    return "\n".join(out)


def _chapter(chapter: Chapter) -> list[str]:
    out = [f"## {escape(chapter.title)}", ""]
    for text in chapter.lead:
        out += [paragraph(text), ""]
    for grid in chapter.grids:
        out += [f"### {escape(grid.title)}", "", *table(grid), *_notes(grid.notes)]
    return [*out, *_notes(chapter.notes)]


def _notes(texts: Sequence[str]) -> list[str]:
    return [*(f"- {paragraph(text)}" for text in texts), ""] if texts else []


def escape(text: str) -> str:
    """Escape text for Markdown, on one line; also valid in table cells."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def paragraph(text: str) -> str:
    """Escape text that starts a line or a list item."""
    return _START.sub(lambda found: f"\\{found[0]}" if found[0] in "#+=-" else f"{found[0]}\\", escape(text))


def table(grid: Grid) -> list[str]:
    """Return an aligned pipe table; a section's title, if any, is its first row."""
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
    if (lanes := columns.lanes_grid(board)) is not None:
        out += [f"### {lanes.title}", "", *table(lanes), *_notes(lanes.notes)]
    for block in board.blocks:
        out += [f"### {columns.LANE_HEADINGS[block.lane]}", ""]
        if note := columns.LANE_NOTES.get(block.lane):
            out += [note, ""]
        out += table(columns.main_grid(board, block, metrics))
        if (evidence := evidence_grid(board, block)) is not None:
            out += [f"#### {escape(evidence.title)}", "", *table(evidence), *_notes(evidence.notes)]
        for grid in columns.detail_grids(board, block, metrics):
            out += [f"#### {escape(grid.title)}", "", *table(grid)]
    out += ["### Notes", "", *(f"- {paragraph(note.text)}" for note in board.notes), ""]
    return [*out, *_repeat(board, folder)]


def _repeat(board: Board, folder: Path) -> list[str]:
    """Return the commands that repeat each record, to run in the folder of the page."""
    out = ["### Repeat", "", "In the folder of this page:", "", "```sh"]
    for block in board.blocks:
        for row in block.all:
            out.append(one_line(f"# {row.extractor} × {row.model} ({block.lane})"))
            out += [f"bench run --from {_quoted(relative(path, folder))}" for path, _ in row.records]
    return [*out, "```", ""]


def _quoted(path: str) -> str:
    """Quote a path as one shell word on one line."""
    if path.isprintable():
        return shlex.quote(path)
    safe = "".join(c if c.isalnum() or c in "/._-" else _bytes(c) for c in path)
    return f"$'{safe}'"


def _bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def relative(path: Path, folder: Path) -> str:
    """Return `path` relative to `folder`, with forward slashes."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def explained(boards: Sequence[Board], metrics: Sequence[str]) -> list[tuple[str, str]]:
    """Return (term, description) of every metric and candidate set in the boards."""
    shown = [m for name in metrics for board in boards for m in board.metrics([name])]
    beyond = {m for b in boards for row in b.rows for named in row.beyond.values() for m in named}
    known = {heading(parts(m)[0]): text for m in [*shown, *sorted(beyond, key=parts)] if (text := glossary(m))}
    return list(known.items()) + [
        (w, text) for w, text in SET_GLOSSARY.items() if any(w in board.sets for board in boards)
    ]
