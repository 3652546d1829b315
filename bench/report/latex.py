"""One LaTeX file per board: a booktabs table per lane."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from bench.report import layout
from bench.report.table import Block, Board

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
    # A row that starts with [ or * would be read as an argument of the \\ before it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "§": r"\S{}",
    "¶": r"\P{}",
}
_SPECIAL = re.compile("|".join(re.escape(character) for character in _ESCAPES))


def escape(text: str) -> str:
    """Return text that LaTeX sets as it is."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text)


def document(board: Board, name: str, metrics: Sequence[str]) -> str:
    """Return the tables of a board, to be read with ``input``; `name` makes their labels."""
    out = ["% Needs \\usepackage{booktabs,graphicx}. Generated from result records: change those, not this file.", ""]
    for block in board.blocks:
        out += _table(board, block, f"tab:{name.replace('_', '-')}-{block.lane}", metrics)
    return "\n".join(out)


def _table(board: Board, block: Block, label: str, metrics: Sequence[str]) -> list[str]:
    columns = layout.main(board, block, metrics)
    caption = f"{board.title}. {layout.LANE_HEADINGS[block.lane]}. {layout.LANE_NOTES.get(block.lane, '')}"
    out = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape(caption.strip())}}}",
        rf"\label{{{label}}}",
        # Three candidate sets are wider than most pages: shrink what does not fit, and nothing else.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{''.join('r' if c.right else 'l' for c in columns)}}}",
        r"\toprule",
        *_groups(columns),
        _row([escape(column.heading) for column in columns]),
    ]
    for rows in (block.rows, block.controls, [block.chance]):
        if rows:
            out += [r"\midrule", *(_row([_cell(column.cell(row)) for column in columns]) for row in rows)]
    out += [r"\bottomrule", r"\end{tabular}}", "", r"\smallskip\begin{minipage}{\linewidth}\scriptsize"]
    out += [escape(note.text) + r"\par" for note in board.notes]
    return [*out, r"\end{minipage}", r"\end{table}", ""]


def _groups(columns: Sequence[layout.Column]) -> list[str]:
    """The candidate sets above their columns."""
    heads, rules, at = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
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


def _cell(cell: layout.Cell) -> str:
    return rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text)
