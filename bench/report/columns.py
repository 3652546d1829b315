"""The columns of the tables, defined once for the console, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.datasets.contamination import same_catalogue
from bench.records import Cost
from bench.report import budgets
from bench.report.board import Block, Board, Row
from bench.report.format import NONE, bounds, heading, heard, number, percent, short
from bench.report.grid import Cell, Grid, Head, Section
from bench.report.notes import any_heard, marks
from bench.report.value import Value
from bench.text import one_line

LANE_HEADINGS = {
    "corrected": "Lane: corrected",
    "published": "Lane: published",
    "mixed": "Mixed lanes",
}
LANE_NOTES = {
    "mixed": "Extractor and model follow different lanes: compare within this block only; never for leaderboards.",
}


@dataclass(frozen=True)
class Column:
    """A column: its heading, its candidate set, and a function that reads its cell from a row."""

    heading: str
    cell: Callable[[Row], Cell]
    group: str = ""
    right: bool = True


Style = Callable[[Value], str]
_UNEQUAL = 1.5
"""Ratio of the two sides of an interval from which half its width would mislead."""


def grid(name: str, title: str, columns: Sequence[Column], sections: Sequence[tuple[str, Sequence[Row]]]) -> Grid:
    """Return the table of the given columns and rows."""
    heads = [Head(column.heading, column.group, column.right) for column in columns]
    filled = [Section(text, [[column.cell(row) for column in columns] for row in rows]) for text, rows in sections]
    return Grid(name, title, heads, filled)


def sections(block: Block, *, chance: bool = True) -> list[tuple[str, Sequence[Row]]]:
    """Return a block's rows in table order: compared rows, controls, chance levels."""
    found: list[tuple[str, Sequence[Row]]] = [("", block.rows), ("Controls", block.controls)]
    return [*found, ("Chance", [block.chance])] if chance else found


def spanned(value: Value) -> str:
    """Return the mean with its interval."""
    return bounds(value.mean, value.low, value.high)


def plain(value: Value) -> str:
    """Return the mean alone."""
    return number(value.mean)


def half_width(value: Value) -> str:
    """Return the mean ± half the width of its interval, briefly: ``.1234 ±.0085``; an unequal one by its bounds."""
    if value.low is None or value.high is None:
        return short(value.mean)
    below, above = value.mean - value.low, value.high - value.mean
    if max(below, above) > _UNEQUAL * min(below, above):
        return f"{short(value.mean)} [{short(value.low, 3)}, {short(value.high, 3)}]"
    return f"{short(value.mean)} ±{short((below + above) / 2)}"


def brief(value: Value) -> str:
    """Return the mean alone, briefly: ``.1234``."""
    return short(value.mean)


def metric_column(where: str, metric: str, style: Style) -> Column:
    """Return the column of one metric (``ndcg@10``) on one candidate set."""

    def cell(row: Row) -> Cell:
        value = row.values.get(where, {}).get(metric)
        return Cell(NONE) if value is None else Cell(style(value), value.best, value.mean)

    return Column(heading(metric), cell, where)


def chance_column(where: str, metric: str) -> Column:
    """Return the column of a metric as a multiple of chance, ``3.6``."""
    return Column("× chance", lambda row: Cell(number(row.times_chance(where, metric), 1)), where)


def controls_column(where: str) -> Column:
    """Return the column that says whether a row is above its controls."""

    def cell(row: Row) -> Cell:
        found = row.controls.get(where)
        return Cell(found.verdict if found else NONE)

    return Column("Controls", cell, where)


def names(block: Block) -> list[Column]:
    """Return the columns that identify a row; the lane only where it differs, how it was tuned only if any row was."""
    found = [
        Column("Extractor", lambda row: Cell(row.extractor), right=False),
        Column("Model", lambda row: Cell(row.model), right=False),
    ]
    if budgets.shown(block):
        found.append(Column("Settings", lambda row: Cell(budgets.settings(row)), right=False))
    if block.lane == "mixed":
        found.append(Column("Lanes", lambda row: Cell(_lanes(row)), right=False))
    return found


def main_grid(board: Board, block: Block, metrics: Sequence[str]) -> Grid:
    """Return the main table of a lane, under its heading."""
    return grid(block.lane, LANE_HEADINGS[block.lane], main(board, block, metrics), sections(block))


def short_grid(board: Board, block: Block) -> Grid:
    """Return the main metric of a lane with interval, multiple of chance and verdict, for each candidate set."""
    columns = names(block)
    if board.ranked_by:
        metric = board.ranked_by[1]
        for where in board.sets:
            columns += [metric_column(where, metric, spanned), chance_column(where, metric), controls_column(where)]
    return grid(block.lane, LANE_HEADINGS[block.lane], [*columns, seeds()], sections(block))


def lanes_grid(board: Board) -> Grid | None:
    """Return a table that compares the lanes by the main metric; None with a single lane."""
    if len(board.blocks) < 2 or not board.ranked_by:
        return None
    metric = board.ranked_by[1]
    heads = [Head("Extractor", right=False), Head("Model", right=False)]
    heads += [Head(block.lane, f"{where} {heading(metric)}") for where in board.sets for block in board.blocks]
    kinds: dict[str, dict[tuple[str, str], dict[str, Row]]] = {"": {}, "Controls": {}, "Chance": {}}
    for block in board.blocks:
        for title, rows in sections(block):
            for row in rows:
                kinds[title].setdefault((row.extractor, row.model), {})[block.lane] = row

    def cells(names: tuple[str, str], by_lane: dict[str, Row]) -> list[Cell]:
        found = [Cell(name) for name in names]
        for where in board.sets:
            for block in board.blocks:
                row = by_lane.get(block.lane)
                found.append(metric_column(where, metric, plain).cell(row) if row else Cell(NONE))
        return found

    filled = [Section(title, [cells(*each) for each in rows.items()]) for title, rows in kinds.items()]
    note = "A column is one lane; bold compares within its column's lane, never across lanes."
    return Grid("lanes", "Lanes side by side", heads, filled, [note])


def detail_grids(board: Board, block: Block, metrics: Sequence[str]) -> list[Grid]:
    """Return the detailed tables: every k with intervals, beyond accuracy, time and memory."""
    found = [
        grid(where, f"{where.capitalize()}, every k, with intervals", columns, sections(block))
        for where in board.sets
        if (columns := detail(board, block, where, metrics))
    ]
    made = sections(block, chance=False)
    found += [
        grid(f"{where}-beyond-{k}", f"Beyond accuracy: {where}, k = {k}", columns, made)
        for where in board.sets
        for k in board.k
        if (columns := beyond(block, where, k))
    ]
    if any(row.cost(of) is not None for row in block.all for of in (_fit, _score, _peak)):
        found.append(grid("cost", "Time and memory", costs(block), made))
    return found


def main(board: Board, block: Block, metrics: Sequence[str]) -> list[Column]:
    """Return the columns of the main table: every candidate set at the first k, then costs."""
    found = names(block)
    for where in board.sets:
        for metric in board.metrics(metrics, board.k[:1]):
            style = spanned if (where, metric) == board.ranked_by else plain
            found.append(metric_column(where, metric, style))
        found += [chance_column(where, board.ranked_by[1]), controls_column(where)] if board.ranked_by else []
    return [
        *found,
        Column("Width", lambda row: Cell(str(row.width) if row.width else NONE)),
        Column("Coverage", lambda row: Cell(percent(row.coverage) if row.width else NONE)),
        Column("s/1000", lambda row: Cell(number(row.cost(lambda cost: cost.extract_s_per_1000), 1))),
        Column("Licence", lambda row: Cell(row.license or NONE), right=False),
        *([Column("Trained on", _trained_on(board), right=False)] if any(row.trained_on for row in board.rows) else []),
        *([Column("Heard", lambda row: Cell(heard(row.heard)))] if any_heard(board) else []),
        seeds(),
    ]


def _trained_on(board: Board) -> Callable[[Row], Cell]:
    """Return a reader of an extractor's training data; ``!`` marks recordings on which it is evaluated."""

    def cell(row: Row) -> Cell:
        named = [f"{name} !" if same_catalogue(name, board.data) else name for name in sorted(row.trained_on)]
        return Cell(one_line(", ".join(named)) or NONE)

    return cell


def detail(board: Board, block: Block, where: str, metrics: Sequence[str]) -> list[Column]:
    """Return the columns of one candidate set: every k, with intervals."""
    return [*names(block), *(metric_column(where, metric, spanned) for metric in board.metrics(metrics))]


def beyond(block: Block, where: str, k: int) -> list[Column]:
    """Return the beyond-accuracy columns of one candidate set at one k; none without values."""
    suffix = f"@{k}"
    have = dict.fromkeys(m for row in block.all for m in row.beyond.get(where, {}) if m.endswith(suffix))

    def column(metric: str) -> Column:
        return Column(heading(metric), lambda row: Cell(number(row.beyond.get(where, {}).get(metric), 3)))

    return [*names(block), *map(column, have)] if have else []


def costs(block: Block) -> list[Column]:
    """Return the columns of time and memory; times in seconds, memory in MiB."""

    def column(title: str, of: Callable[[Cost], float | None], digits: int) -> Column:
        return Column(title, lambda row: Cell(number(row.cost(of), digits)))

    return [
        *names(block),
        column("Fit (s)", _fit, 2),
        column("Score (s)", _score, 2),
        column("Peak memory (MiB)", _peak, 0),
    ]


def _fit(cost: Cost) -> float | None:
    return cost.fit_s


def _score(cost: Cost) -> float | None:
    return cost.score_s


def _peak(cost: Cost) -> float | None:
    return None if cost.peak_memory_bytes is None else cost.peak_memory_bytes / 2**20


def seeds() -> Column:
    """Return the column of the number of seeds, with marks."""
    return Column("Seeds", lambda row: Cell(f"{len(row.seeds)}{marks(row)}" if row.records else NONE))


def _lanes(row: Row) -> str:
    return f"{row.first.extractor.lane} × {row.first.recommender.lane}" if row.first else NONE
