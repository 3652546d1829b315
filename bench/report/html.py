"""The report as one page that stands by itself: no scripts, nothing from elsewhere, light and dark."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from bench.report import layout
from bench.report.grid import Cell, Chapter, Grid
from bench.report.markdown import explained
from bench.report.table import Board

if TYPE_CHECKING:
    from bench.report.plots import Plot

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--page:#fff;--band:#f3f5f8;--mark:#0b57a4}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa4af;--line:#3a424c;--page:#14171b;--band:#1d2228;
--mark:#7cb7ff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:80rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.3rem;margin-top:2.5rem;border-top:2px solid var(--line);
padding-top:1rem;line-height:1.25}h3{font-size:1.05rem;margin:1.5rem 0 .4rem}
a{color:var(--mark)}nav ul{padding-left:1.2rem}
.wide{overflow-x:auto;margin:.3rem 0 .8rem;border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:.3rem .55rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom;background:var(--page)}
th.group{text-align:center;color:var(--ink);border-bottom:2px solid var(--soft)}
.left{text-align:left}th[scope=row]{font-weight:400;overflow-wrap:anywhere;white-space:normal;min-width:7rem;
max-width:14rem;position:sticky;left:0;background:var(--page);border-right:1px solid var(--line)}
tr.title th{position:sticky;left:0;text-align:left;background:var(--band);font-weight:600}
tr.floor td,tr.floor th{color:var(--soft)}tbody tr:last-child>*{border-bottom:0}
b{color:var(--mark)}ul.notes{font-size:.85rem;color:var(--soft);padding-left:1.2rem}ul.notes li{margin:.2rem 0}
details{margin:.6rem 0}summary{cursor:pointer;color:var(--mark)}
figure{margin:1rem 0}figure img{max-width:100%;height:auto}figcaption{font-size:.85rem;color:var(--soft)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:1rem;align-items:start}
""".strip()

_FLOOR = ("Controls", "Chance", "Controls (ours)", "Chance (ours)")


def page(
    title: str,
    boards: Sequence[Board],
    chapters: Sequence[Chapter],
    plots: Sequence[Plot] = (),
    *,
    problems: Sequence[str] = (),
    metrics: Sequence[str],
    lead: Sequence[str] = (),
) -> str:
    """Return the whole page: contents, a part per board and chapter, figures, glossary, what was left out."""
    parts = [(f"board-{i}", board.title, _board(board, metrics)) for i, board in enumerate(boards)]
    parts += [(f"chapter-{i}", chapter.title, _chapter(chapter)) for i, chapter in enumerate(chapters)]
    if plots:
        figures = [text for plot in plots for text in _figure(plot)]
        parts.append(("figures", "Figures", ['<div class="plots">', *figures, "</div>"]))
    if terms := explained(boards, metrics):
        parts.append(("glossary", "Glossary", _notes(f"{word}: {meaning}" for word, meaning in terms)))
    if problems:
        parts.append(("left-out", "Left out", _notes(problems)))
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(text)}</p>" for text in lead)]
    if not boards and not chapters:
        body.append("<p>There is no readable record.</p>")
    if len(parts) > 1:
        links = [f'<li><a href="#{name}">{escape(text)}</a></li>' for name, text, _ in parts]
        body += ['<nav aria-label="Contents"><ul>', *links, "</ul></nav>"]
    for name, text, lines in parts:
        body += [f'<section id="{name}"><h2>{escape(text)}</h2>', *lines, "</section>"]
    return document(title, body)


def document(title: str, body: Iterable[str]) -> str:
    """Return a page that needs no other file."""
    head = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style></head><body>",
    ]
    return "\n".join([*head, *body, "</body></html>", ""])


def table(grid: Grid) -> list[str]:
    """Return a table that scrolls sideways by itself where it is too wide; its first column stays."""
    out = [f'<div class="wide" role="region" aria-label="{escape(grid.title)}" tabindex="0"><table><thead>']
    if any(head.group for head in grid.heads):
        cells = []
        for group, members in groupby(grid.heads, key=lambda head: head.group):
            width = len(list(members))
            kind = ' class="group" scope="colgroup"' if group else ""
            cells.append(f'<th colspan="{width}"{kind}>{escape(group)}</th>')
        out.append(f"<tr>{''.join(cells)}</tr>")
    names = [f'<th scope="col"{_side(head.right)}>{escape(head.heading)}</th>' for head in grid.heads]
    out.append(f"<tr>{''.join(names)}</tr></thead><tbody>")
    for section in grid.sections:
        if section.title and section.rows:
            # Narrow, not as wide as the table: it stays in sight when the table is scrolled.
            rest = f'<td colspan="{len(grid.heads) - 1}"></td>' if len(grid.heads) > 1 else ""
            out.append(f'<tr class="title"><th scope="rowgroup">{escape(section.title)}</th>{rest}</tr>')
        kind = ' class="floor"' if section.title in _FLOOR else ""
        out += [f"<tr{kind}>{_cells(grid, row)}</tr>" for row in section.rows]
    return [*out, "</tbody></table></div>"]


def _cells(grid: Grid, row: Sequence[Cell]) -> str:
    first, *rest = row
    cells = [f'<th scope="row" class="left">{_text(first)}</th>']
    cells += [f"<td{_side(head.right)}>{_text(cell)}</td>" for head, cell in zip(grid.heads[1:], rest, strict=True)]
    return "".join(cells)


def _text(cell: Cell) -> str:
    return f"<b>{escape(cell.text)}</b>" if cell.bold else escape(cell.text)


def _side(right: bool) -> str:
    return "" if right else ' class="left"'


def _board(board: Board, metrics: Sequence[str]) -> list[str]:
    out = []
    if (lanes := layout.lanes_grid(board)) is not None:
        out += [f"<h3>{escape(lanes.title)}</h3>", *table(lanes), *_notes(lanes.notes)]
    for block in board.blocks:
        out.append(f"<h3>{layout.LANE_HEADINGS[block.lane]}</h3>")
        out += [f"<p>{escape(note)}</p>" for note in [layout.LANE_NOTES.get(block.lane)] if note]
        out += table(layout.main_grid(board, block, metrics))
        if details := layout.detail_grids(board, block, metrics):
            out.append("<details><summary>Every k with intervals, beyond accuracy, time and memory</summary>")
            for grid in details:
                out += [f"<h3>{escape(grid.title)}</h3>", *table(grid)]
            out.append("</details>")
    return [*out, *_notes(note.text for note in board.notes)]


def _chapter(chapter: Chapter) -> list[str]:
    out = [f"<p>{escape(text)}</p>" for text in chapter.lead]
    for grid in chapter.grids:
        out += [f"<h3>{escape(grid.title)}</h3>", *table(grid), *_notes(grid.notes)]
    return [*out, *_notes(chapter.notes)]


def _notes(texts: Iterable[str]) -> list[str]:
    items = [f"<li>{escape(text)}</li>" for text in texts]
    return ['<ul class="notes">', *items, "</ul>"] if items else []


def _figure(plot: Plot) -> list[str]:
    """A figure as data in the page."""
    data = "data:image/svg+xml;base64," + base64.b64encode(plot.svg.encode()).decode()
    return [
        f'<figure><img src="{data}" alt="{escape(plot.alt)}" loading="lazy">',
        f"<figcaption>{escape(plot.title)}</figcaption></figure>",
    ]
