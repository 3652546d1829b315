"""The report on a terminal: one compact table per lane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bench.report.board import Block, Board, Row
from bench.report.columns import (
    LANE_HEADINGS,
    LANE_NOTES,
    Column,
    brief,
    chance_column,
    controls_column,
    half_width,
    metric_column,
    names,
    seeds,
)
from bench.report.evidence_grid import evidence_grid
from bench.report.format import MAIN, NONE, RANKED_BY, checked, heading, parts
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.terminal import screen, text
from bench.text import one_line

WIDTH = 110
"""Minimum width of output that does not go to a terminal."""

_ROOMY = {"Extractor": 40, "Model": 30, "Lanes": 22}
_NARROW = {"Extractor": 24, "Model": 16, "Lanes": 11}
"""Maximum characters per line of a name; longer names wrap."""

_TIMES_CHANCE, _CONTROLS = "× chance", "Controls"
"""Stand among the names of metrics for the two columns beside the main metric."""

_EXPENDABLE = ("recall", "hitrate", _TIMES_CHANCE, _CONTROLS)
"""Columns that a narrow terminal omits first, from the last candidate set to the first."""


def show(
    boards: Iterable[Board],
    console: Console | None = None,
    *,
    problems: Sequence[str] = (),
    metrics: tuple[str, ...] = MAIN,
    chapters: Sequence[Chapter] = (),
) -> None:
    """Print boards, then chapters: metrics at the first k, with an interval for the main metric.

    In a narrow terminal, names wrap first; then columns are omitted, recall before hit rate, multiples of chance and
    verdicts, each from the last candidate set to the first. The files of `bench.report.write` contain all columns.

    Raises
    ------
    BenchError
        For an unknown metric.

    """
    metrics = checked(metrics)
    console = console or screen()
    if console.is_terminal:
        _show(boards, console, problems, metrics, chapters)
        return
    width = console.width
    console.width = max(WIDTH, width)
    try:
        _show(boards, console, problems, metrics, chapters)
    finally:
        console.width = width


def _show(
    boards: Iterable[Board],
    console: Console,
    problems: Sequence[str],
    metrics: Sequence[str],
    chapters: Sequence[Chapter],
) -> None:
    empty = not chapters
    for board in boards:
        empty = False
        console.print(text(board.title, "bold"))
        for block in board.blocks:
            _block(console, board, block, metrics)
        for note in board.notes:
            if note.brief:
                console.print(text(note.text, "dim"))
        console.print()
    for chapter in chapters:
        _chapter(console, chapter)
    if empty:
        console.print("No records.")
    for problem in problems:
        console.print(text(f"Left out: {problem}", "yellow"))


def _chapter(console: Console, chapter: Chapter) -> None:
    console.print(text(chapter.title, "bold"))
    for lead in chapter.lead:
        console.print(text(lead, "dim"))
    for grid in chapter.grids:
        console.print(text(grid.title, "italic"))
        for part in _folded(console, grid):
            console.print(_grid(part))
    for note in [*(note for grid in chapter.grids for note in grid.notes), *chapter.notes]:
        console.print(text(note, "dim"))
    console.print()


def _folded(console: Console, grid: Grid) -> list[Grid]:
    """Split a table that is too wide into several that have values; each repeats the first column."""
    cells = [[cell_len(_shown(cell)) for cell in row] for row in grid.rows]
    filled = [{at for at, row in enumerate(grid.rows) if row[i].text not in ("", NONE)} for i in range(len(grid.heads))]
    titles = [section.title for section in grid.sections for _ in section.rows]

    def width(i: int, rows: Iterable[int], before: str = "") -> int:
        """Return the width of a column, below the name of its group unless that is `before`."""
        head = grid.heads[i]
        texts = [
            head.heading,
            head.group if head.group != before else "",
            *({titles[at] for at in rows} if not i else ()),
        ]
        widest = max(*(cell_len(one_line(text)) for text in texts), *(cells[at][i] for at in rows), 0)
        return widest if head.right else min(widest, head.room)

    chosen, taken, rows = [[0]], 0, set[int]()
    for i in range(1, len(grid.heads)):
        more = taken + 1 + width(i, filled[i], grid.heads[chosen[-1][-1]].group)
        # Rows without values in the chosen columns are left out.
        if len(chosen[-1]) > 1 and width(0, rows | filled[i]) + more > console.width:
            chosen.append([0])
            more, rows = 1 + width(i, filled[i], grid.heads[0].group), set()
        chosen[-1].append(i)
        taken, rows = more, rows | filled[i]
    parts = [_columns(grid, columns) for columns in chosen]
    return [part for part in parts if part.rows] or parts[:1]


def _columns(grid: Grid, columns: Sequence[int]) -> Grid:
    """Return some columns of a table, with only the rows that have values in them."""
    sections = []
    for section in grid.sections:
        rows = [[row[i] for i in columns] for row in section.rows]
        sections.append(Section(section.title, [row for row in rows if any(c.text not in ("", NONE) for c in row[1:])]))
    return replace(grid, heads=[grid.heads[i] for i in columns], sections=sections)


def _grid(grid: Grid) -> Table:
    """Render a finished table; names may wrap, numbers are never cut."""
    table = _empty(grid.heads, [None if head.right else head.room for head in grid.heads])
    for section in grid.sections:
        if section.title and section.rows:
            table.add_row(text(section.title, "italic"))
        for row in section.rows:
            cells = [Text(_shown(cell), style="bold" if cell.bold else "") for cell in row]
            table.add_row(*cells, end_section=row is section.rows[-1])
    return table


def _narrowed(console: Console, grid: Grid) -> Table:
    """Render the evidence without empty columns; a narrow terminal omits numbers of users, then shares of the gain."""
    columns = [at for at in range(len(grid.heads)) if any(row[at].text not in ("", NONE) for row in grid.rows)]
    for name in ("Differ", "Of gain"):
        if _fits(console, _grid(_columns(grid, columns))):
            break
        columns = [at for at in columns if grid.heads[at].heading != name]
    return _grid(_columns(grid, columns))


def _shown(cell: Cell) -> str:
    return one_line(cell.text) + ("*" if cell.bold else "")


def _block(console: Console, board: Board, block: Block, metrics: Sequence[str]) -> None:
    if len(board.blocks) > 1 or block.lane != "corrected":
        console.print(text(LANE_HEADINGS[block.lane], "italic"))
    if note := LANE_NOTES.get(block.lane):
        console.print(text(note, "dim"))
    shown = [
        (where, one)
        for where in board.sets
        for m in _first_ranked(board.metrics(metrics, board.k[:1]))
        for one in ((m, _TIMES_CHANCE, _CONTROLS) if m.startswith(f"{RANKED_BY}@") else (m,))
    ]
    block, treatment = _without_common_treatment(block)
    if treatment:
        console.print(text(f"All vectors are treated by {treatment}.", "dim"))
    table, dropped = _table(board, block, shown, _ROOMY), list[str]()
    if not _fits(console, table):
        table = _table(board, block, shown, _NARROW)
    for where, metric in _giving_way(shown):
        if _fits(console, table):
            break
        shown.remove((where, metric))
        dropped.append(metric)
        table = _table(board, block, shown, _NARROW)
    console.print(table)
    if dropped:
        listed = ", ".join(dict.fromkeys(map(heading, dropped)))
        console.print(text(f"Left out of some columns for lack of room: {listed}.", "dim"))
    if (evidence := evidence_grid(board, block, brief=True)) is not None:
        console.print()
        console.print(text(evidence.title, "italic"))
        console.print(_narrowed(console, evidence))
        for note in evidence.notes:
            console.print(text(note, "dim"))


def _without_common_treatment(block: Block) -> tuple[Block, str]:
    """Return the lane without the treatment in the names of extractors if all vectors have the same one; and it."""
    treats = {row.first.extractor.view.treat for row in block.all if row.first and row.width}
    treat = one_line(next(iter(treats))) if len(treats) == 1 else ""
    if not treat or treat == "none":
        return block, ""

    def renamed(rows: Sequence[Row]) -> list[Row]:
        return [replace(row, extractor=row.extractor.removesuffix(f" ({treat})")) for row in rows]

    return replace(block, rows=renamed(block.rows), controls=renamed(block.controls)), treat


def _fits(console: Console, table: Table) -> bool:
    return Measurement.get(console, console.options.update(width=10_000), table).maximum <= console.width


def _first_ranked(metrics: list[str]) -> list[str]:
    """Move the main metric to the front, and keep the order of the others."""
    return sorted(metrics, key=lambda metric: not metric.startswith(f"{RANKED_BY}@"))


def _giving_way(shown: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return columns in the order in which they may be omitted."""

    def rank(column: tuple[str, str]) -> tuple[int, int]:
        name = column[1].partition("@")[0]
        return (_EXPENDABLE.index(name) if name in _EXPENDABLE else len(_EXPENDABLE), -shown.index(column))

    return sorted((c for c in shown if not c[1].startswith(f"{RANKED_BY}@")), key=rank)


def _table(board: Board, block: Block, shown: Sequence[tuple[str, str]], widths: Mapping[str, int]) -> Table:
    columns = names(block)
    ranked_by = board.ranked_by[1] if board.ranked_by else ""
    for where, metric in shown:
        if metric == _TIMES_CHANCE:
            column = chance_column(where, ranked_by)
        elif metric == _CONTROLS:
            column = controls_column(where)
        else:
            style = half_width if (where, metric) == board.ranked_by else brief
            column = replace(metric_column(where, metric, style), heading=heading(parts(metric)[0]))
        columns.append(replace(column, group=f"{where} @{board.k[0]}"))
    columns.append(seeds())
    table = _empty(columns, [widths.get(column.heading) for column in columns], whole=True)
    for rows in (block.rows, block.controls):
        for row in rows:
            table.add_row(*_cells(row, columns), end_section=row is rows[-1])
    table.add_row(*_cells(block.chance, columns), style="dim")
    return table


def _empty(heads: Sequence[Head | Column], widths: Sequence[int | None], *, whole: bool = False) -> Table:
    """Return a table without rows, group names above their first column; `whole` keeps number headings on one line."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, collapse_padding=True, show_edge=False)
    grouped, previous = any(head.group for head in heads), ""
    for head, width in zip(heads, widths, strict=True):
        group = head.group if head.group != previous else ""
        previous = head.group
        table.add_column(
            Text(f"{one_line(group)}\n{one_line(head.heading)}" if grouped else one_line(head.heading)),
            justify="right" if head.right else "left",
            no_wrap=whole and head.right,
            overflow="fold",
            max_width=width,
        )
    return table


def _cells(row: Row, columns: Sequence[Column]) -> list[Text]:
    """Return a row's cells as plain text without markup; * marks the best value and those not told apart."""
    return [_cell(column.cell(row), " " if column.group else "") for column in columns]


def _cell(cell: Cell, otherwise: str) -> Text:
    """Return a cell's text, followed by * if it is bold, else by `otherwise`."""
    return Text(one_line(cell.text) + ("*" if cell.bold else otherwise), style="bold" if cell.bold else "")
