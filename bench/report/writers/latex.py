"""LaTeX: one file per board with a booktabs table per lane, one per chapter with its tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from bench.report.board import Block, Board
from bench.report.columns import LANE_HEADINGS, LANE_NOTES, main_grid
from bench.report.evidence_grid import COLUMNS, evidence_grid
from bench.report.grid import Cell, Grid, Head, Section
from bench.report.writers.page_breaks import pieces, widths
from bench.text import one_line

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    # LaTeX would read [ or * at the start of a row as an argument of the preceding \\.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "ρ": r"$\rho$",
    "τ": r"$\tau$",
    "²": r"$^2$",
    "°": r"$^\circ$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "§": r"\S{}",
    "¶": r"\P{}",
}
NARROW, WIDE, LONG = 62, 135, 45
"""Characters that fit into a page column and a page width in small print, and lines that fit on a page."""

_MINUS = re.compile(r"(?<![\w-])-(?=\.?\d)")

_LABEL = re.compile(r"[^A-Za-z0-9.:+-]+")

_SPECIAL = re.compile("|".join(re.escape(character) for character in _ESCAPES))


def escape(text: str) -> str:
    """Escape text for LaTeX, on one line."""
    return _MINUS.sub("$-$", _SPECIAL.sub(lambda found: _ESCAPES[found[0]], one_line(text)))


def document(board: Board, name: str, metrics: Sequence[str]) -> str:
    """Return the tables of a board, for ``input``; `name` is the prefix of their labels."""
    notes = [note.text for note in board.notes]
    return _file(table for block in board.blocks for table in _block(board, block, name, metrics, notes))


def _block(board: Board, block: Block, name: str, metrics: Sequence[str], notes: Sequence[str]) -> list[list[str]]:
    """Return the tables of a lane."""
    found = _set(main_grid(board, block, metrics), name, board.title, notes, LANE_NOTES.get(block.lane, ""))
    if (evidence := evidence_grid(board, block, brief=True)) is not None:
        found += _set(evidence, name, f"{board.title}. {LANE_HEADINGS[block.lane]}", [*evidence.notes, COLUMNS])
    return found


def tables(grids: Sequence[Grid], name: str, title: str, notes: Sequence[str]) -> str:
    """Return some tables, for ``input``.

    `name` is the prefix of their labels, `title` starts their captions, and `notes` follow the last table.
    """
    return _file(
        table
        for grid in grids
        for table in _set(grid, name, title, [*grid.notes, *(notes if grid is grids[-1] else ())])
    )


def _set(grid: Grid, name: str, title: str, notes: Sequence[str], told: str = "") -> list[list[str]]:
    """Return a table as one or more floats, with the notes below the last."""
    parts = pieces(grid, WIDE, LONG)
    return [
        table(part, f"{name}-{part.name}", f"{title}. {part.title}. {told}".strip(), notes if part is parts[-1] else ())
        for part in parts
    ]


def _file(tables: Iterable[list[str]]) -> str:
    head = "% Needs \\usepackage{booktabs,graphicx}. Generated from result records: change those, not this file."
    return "\n".join([head, "", *(text for lines in tables for text in lines)])


def table(grid: Grid, label: str, caption: str, notes: Sequence[str]) -> list[str]:
    """Return the lines of one floating table; a wide one spans both columns of a two-column page."""
    kind = "table*" if sum(widths(grid)) > NARROW else "table"
    out = [
        rf"\begin{{{kind}}}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{_LABEL.sub('-', label)}}}",
        # Page widths differ: shrink only tables that do not fit.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{''.join('r' if head.right else 'l' for head in grid.heads)}}}",
        r"\toprule",
        *_groups(grid.heads),
        _row([escape(head.heading) for head in grid.heads]),
    ]
    for section in grid.sections:
        if section.rows:
            out += [r"\midrule", *_titled(section, len(grid.heads))]
            out += [_row([_cell(cell) for cell in row]) for row in section.rows]
    out += [r"\bottomrule", r"\end{tabular}}", "", r"\smallskip\begin{minipage}{\linewidth}\scriptsize"]
    out += [escape(note) + r"\par" for note in notes]
    return [*out, r"\end{minipage}", rf"\end{{{kind}}}", ""]


def _titled(section: Section, width: int) -> list[str]:
    """Return the title line of a section, unless its rows make it redundant."""
    if section.title in ("", "Controls", "Chance"):
        return []
    return [rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escape(section.title)}}}}} \\"]


def _groups(columns: Sequence[Head]) -> list[str]:
    """Return the line of group names above the column headings."""
    heads, rules, at = [], [], 1
    for group, members in groupby(columns, key=lambda head: head.group):
        width = len(list(members))
        if group:
            heads.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(group)}}}")
            rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        else:
            heads += [""] * width
        at += width
    return [_row(heads), "".join(rules)] if rules else []


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    return rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text)
