"""A metric by k, one line per row; controls and chance are grey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.records import slug
from bench.report.board import Block, Board, Row
from bench.report.format import RANKED_BY, heading
from bench.report.plots.labels import both, label_ends
from bench.report.plots.plot import SOFT, Plot, look, panels, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 7
"""Maximum number of rows drawn, best first; the tables have all rows."""

CONTROLS = 3


def draw(board: Board, block: Block) -> Plot | None:
    """Plot the main metric by k, one panel per candidate set; None for a single k."""
    if len(board.k) < 2 or not block.all:
        return None
    rows, controls = block.rows[:MOST], block.controls[:CONTROLS]
    left = len(block.rows) - len(rows)
    more = f"; the {MOST} best of {len(block.rows)} rows" if left > 0 else ""
    return render(
        slug(f"curves-{board.data}-{board.split}-{board.fingerprint[:8]}-{block.lane}"),
        f"{heading(RANKED_BY)} by k ({board.title}, lane {block.lane}{more}). Grey lines: controls; dotted: chance.",
        f"Lines of {heading(RANKED_BY)} at k = {', '.join(map(str, board.k))} on {', '.join(board.sets)} tracks.",
        lambda: _figure(board, block, rows, controls),
    )


def _figure(board: Board, block: Block, rows: list[Row], controls: list[Row]) -> Figure:
    figure, axes = panels(len(board.sets), 1, 2.3)
    for place, where in zip(axes, board.sets, strict=True):
        _panel(place, board, block, where, rows, controls)
    drawn = [*rows, *controls, block.chance]
    labelled = []
    for place, where in zip(axes, board.sets, strict=True):
        ends = [(values[-1], _name(row)) for row in drawn if (values := _values(row, board, where))]
        labelled.append((place, max(board.k), ends))
    label_ends(figure, labelled)
    return figure


def _panel(axes: Axes, board: Board, block: Block, where: str, rows: list[Row], controls: list[Row]) -> None:
    for at, row in enumerate(rows):
        if values := _values(row, board, where):
            axes.plot(sorted(board.k), values, **look(at))
    for row in controls:
        if values := _values(row, board, where):
            axes.plot(sorted(board.k), values, color=SOFT, linewidth=0.9)
    if values := _values(block.chance, board, where):
        axes.plot(sorted(board.k), values, color=SOFT, linewidth=0.9, linestyle=":")
    axes.set_xscale("log")
    axes.set_xticks(sorted(board.k), [str(k) for k in sorted(board.k)])
    axes.minorticks_off()
    axes.set_title(f"{where} tracks", loc="left")
    axes.set_ylabel(f"{heading(RANKED_BY)}@k")
    axes.set_ylim(bottom=0)
    axes.grid(True, axis="y")
    if where == board.sets[-1]:
        axes.set_xlabel("k")


def _values(row: Row, board: Board, where: str) -> list[float]:
    found = [row.mean(where, f"{RANKED_BY}@{k}") for k in sorted(board.k)]
    return [] if any(value is None for value in found) else [float(value) for value in found if value is not None]


def _name(row: Row) -> str:
    return row.extractor if not row.records else both(row.extractor, row.model, 28)
