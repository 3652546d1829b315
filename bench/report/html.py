"""The report as one page that stands by itself: no scripts, nothing from elsewhere, light and dark."""

from __future__ import annotations

import base64
import re
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
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--page:#fff;--band:#f3f5f8;--mark:#0b57a4;
--shade:#1b1f2440}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa4af;--line:#3a424c;--page:#14171b;--band:#1d2228;
--mark:#7cb7ff;--shade:#000c}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:96rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.3rem;margin-top:2.5rem;border-top:2px solid var(--line);
padding-top:1rem;line-height:1.25}h3{font-size:1.05rem;margin:1.5rem 0 .4rem}
a{color:var(--mark)}nav ul{padding-left:1.2rem}
.wide{overflow-x:auto;width:fit-content;max-width:100%;margin:.3rem 0 .8rem;border:1px solid var(--line);
border-radius:6px;background:linear-gradient(90deg,var(--page) 30%,transparent) 0/3rem 100% no-repeat local,
linear-gradient(270deg,var(--page) 30%,transparent) 100%/3rem 100% no-repeat local,
linear-gradient(270deg,var(--shade),transparent) 100%/.8rem 100% no-repeat scroll}
table{border-collapse:separate;border-spacing:0;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .5rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line);
overflow-wrap:break-word}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}
th.group{text-align:center;color:var(--ink);border-bottom:2px solid var(--soft)}
th.group span{position:sticky;right:.5rem}.many th.group span{left:10rem}
th.first,td.first{border-left:1px solid var(--line)}
.left{text-align:left}th[scope=row]{font-weight:400;white-space:normal;max-width:14rem;
border-right:1px solid var(--line)}
th[scope=row],thead tr:last-child th:first-child{position:sticky;left:0;background:var(--page)}
tr.title th,tr.title td{background:var(--band)}
tr.title th{position:sticky;left:0;text-align:left;font-weight:600}
tr.floor td,tr.floor th{color:var(--soft)}tbody tr:last-child>*{border-bottom:0}
b{color:var(--mark)}ul.notes{font-size:.85rem;color:var(--soft);padding-left:1.2rem}ul.notes li{margin:.2rem 0}
details{margin:.6rem 0}summary{cursor:pointer;color:var(--mark)}
figure{margin:1rem 0;max-width:100%;overflow-x:auto}figure img{display:block;width:100%;height:auto}
figure img.large{min-width:40rem}figcaption{font-size:.85rem;margin-top:.4rem;color:var(--soft);position:sticky;left:0}
.plots{display:flex;flex-wrap:wrap;gap:1rem 2rem;align-items:start}
@media(max-width:40rem){td.left:nth-child(2){white-space:normal}th[scope=row]{max-width:9.5rem}}
""".strip()

_BREAKS = re.compile(r"(?<=[:,+/])")
_LONG = 20
"""Characters up to which a name stays on one line."""

_MANY = 8
"""Columns that need no scrolling on most screens."""

_SCALE = 120
"""Pixels of the page to an inch of a figure: its small labels can then be read."""

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
    links: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the whole page: contents, a part per board and chapter, figures, glossary, what was left out.

    `links` are (text, address) of files beside the page.
    """
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
    if links:
        beside = (f'<a href="{escape(address)}">{escape(text)}</a>' for text, address in links)
        body.append(f"<p>{' · '.join(beside)}</p>")
    if not boards and not chapters:
        body.append("<p>There is no readable record.</p>")
    if len(parts) > 1:
        listed = [f'<li><a href="#{name}">{escape(text)}</a></li>' for name, text, _ in parts]
        body += ['<nav aria-label="Contents"><ul>', *listed, "</ul></nav>"]
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
    many = ' class="many"' if len(grid.heads) > _MANY else ""
    out = [f'<div class="wide" role="region" aria-label="{escape(grid.title)}" tabindex="0"><table{many}><thead>']
    if any(head.group for head in grid.heads):
        cells = []
        for group, members in groupby(grid.heads, key=lambda head: head.group):
            width = len(list(members))
            kind = ' class="group" scope="colgroup"' if group else ""
            cells.append(f'<th colspan="{width}"{kind}><span>{escape(group)}</span></th>')
        out.append(f"<tr>{''.join(cells)}</tr>")
    first = _first(grid)
    names = [
        f'<th scope="col"{_side(head.right, at in first)}>{escape(head.heading)}</th>'
        for at, head in enumerate(grid.heads)
    ]
    out.append(f"<tr>{''.join(names)}</tr></thead><tbody>")
    for section in grid.sections:
        if section.title and section.rows:
            # Narrow, not as wide as the table: it stays in sight when the table is scrolled.
            rest = f'<td colspan="{len(grid.heads) - 1}"></td>' if len(grid.heads) > 1 else ""
            out.append(f'<tr class="title"><th scope="rowgroup">{escape(section.title)}</th>{rest}</tr>')
        kind = ' class="floor"' if section.title in _FLOOR else ""
        out += [f"<tr{kind}>{_cells(grid, row, first)}</tr>" for row in section.rows]
    return [*out, "</tbody></table></div>"]


def _first(grid: Grid) -> set[int]:
    """Columns that start a group, or end the last one."""
    groups = [head.group for head in grid.heads]
    return {at for at in range(2, len(groups)) if groups[at] != groups[at - 1]}


def _cells(grid: Grid, row: Sequence[Cell], first: set[int]) -> str:
    cells = [f'<th scope="row" class="left">{_text(row[0], False)}</th>']
    for at, (head, cell) in enumerate(zip(grid.heads, row, strict=True)):
        if at:
            cells.append(f"<td{_side(head.right, at in first)}>{_text(cell, head.right)}</td>")
    return "".join(cells)


def _text(cell: Cell, right: bool) -> str:
    """A cell's text; a long name may break where its parts meet, a number never."""
    parts = [cell.text] if right or len(cell.text) <= _LONG else _BREAKS.split(cell.text)
    text = "<wbr>".join(map(escape, parts))
    return f"<b>{text}</b>" if cell.bold else text


def _side(right: bool, first: bool) -> str:
    names = [*([] if right else ["left"]), *(["first"] if first else [])]
    return f' class="{" ".join(names)}"' if names else ""


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
    width = round(plot.width * _SCALE)
    large = ' class="large"' if width > 640 else ""
    return [
        f'<figure style="width:{width}px"><img src="{data}" alt="{escape(plot.alt)}"{large} loading="lazy">',
        f"<figcaption>{escape(plot.title)}</figcaption></figure>",
    ]
