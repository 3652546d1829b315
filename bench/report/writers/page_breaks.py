"""Split a table that is too wide or too long for a printed page.

LaTeX's longtable breaks only between rows; LaTeX cannot break a table between columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from bench.report.grid import Grid, Section


def widths(grid: Grid) -> list[int]:
    """Return the width of each column in characters, including the space between columns."""
    found = []
    # A group's name spans all its columns, so each column needs room only for its share of the name.
    shares = [len(head.group) / sum(h.group == head.group for h in grid.heads) for head in grid.heads]
    for at, head in enumerate(grid.heads):
        found.append(2 + max(len(head.heading), round(shares[at]), *(len(row[at].text) for row in grid.rows), 0))
    return found


def pieces(grid: Grid, characters: int, lines: int) -> list[Grid]:
    """Split a table into tables of at most `characters` width and `lines` rows; return it unchanged if it fits.

    Groups of columns stay together where possible. Each piece repeats the columns that name the row (those left
    of the first numbers) and the titles of its sections.
    """
    found = [replace(wide, sections=part) for wide in _across(grid, characters) for part in _down(grid, wide, lines)]
    if len(found) == 1:
        return [grid]
    title = grid.title.rstrip(".")
    return [
        replace(piece, name=grid.name if n == 1 else f"{grid.name}-{n}", title=f"{title}, part {n} of {len(found)}")
        for n, piece in enumerate(found, 1)
    ]


def _across(grid: Grid, characters: int) -> list[Grid]:
    wide = widths(grid)
    named = next((at for at, head in enumerate(grid.heads) if head.right), len(grid.heads))
    room = characters - sum(wide[:named])
    parts: list[list[int]] = [[]]
    for _, members in groupby(range(named, len(grid.heads)), key=lambda at: grid.heads[at].group):
        group = list(members)
        whole = sum(wide[at] for at in group)
        for columns in [group] if whole <= room else [[at] for at in group]:
            taken = sum(wide[at] for at in parts[-1])
            if parts[-1] and taken + sum(wide[at] for at in columns) > room:
                parts.append([])
            parts[-1] += columns
    if len(parts) == 1:
        return [grid]
    return [_columns(grid, [*range(named), *part]) for part in parts]


def _columns(grid: Grid, kept: Sequence[int]) -> Grid:
    sections = [Section(s.title, [[row[at] for at in kept] for row in s.rows]) for s in grid.sections]
    return replace(grid, heads=[grid.heads[at] for at in kept], sections=sections)


def _down(whole: Grid, grid: Grid, lines: int) -> list[list[Section]]:
    if len(whole.rows) <= lines:
        return [list(grid.sections)]
    parts: list[list[Section]] = [[]]
    left = lines
    for section in grid.sections:
        rows = list(section.rows)
        if len(rows) > left and len(rows) <= lines:  # fits as a whole into the next piece
            parts.append([])
            left = lines
        while rows:
            if not left:
                parts.append([])
                left = lines
            parts[-1].append(Section(section.title, rows[:left]))
            rows, left = rows[left:], left - min(left, len(rows))
    return [part for part in parts if part]
