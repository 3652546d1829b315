"""Spread over seeds: one dot per training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.records import slug
from bench.report.board import Block, Board, Row
from bench.report.format import heading
from bench.report.plots.labels import both, plain
from bench.report.plots.plot import INK, SOFT, Plot, look, panels, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 16


def draw(board: Board, block: Block) -> Plot | None:
    """Plot the values of every seed, one line of dots per row; None if no row has two seeds."""
    if not board.ranked_by:
        return None
    where, metric = board.ranked_by
    rows = [row for row in block.rows if len(row.seeds) > 1 and row.mean(where, metric) is not None][:MOST]
    if not rows:
        return None
    return render(
        slug(f"seeds-{board.data}-{board.split}-{board.fingerprint[:8]}-{block.lane}"),
        f"Spread over seeds, {where} {heading(metric)} ({board.title}, lane {block.lane}). Dots: one training each. "
        "Upright bar: their mean. Line: its 95 % interval over seeds and users.",
        f"Dots for each of {', '.join(str(len(row.records)) for row in rows)} trainings of {len(rows)} rows.",
        lambda: _figure(rows, where, metric),
    )


def _figure(rows: list[Row], where: str, metric: str) -> Figure:
    figure, (axes,) = panels(1, 1, 0.7 + 0.32 * len(rows))
    for at, row in enumerate(rows):
        value = row.values[where][metric]
        if value.low is not None and value.high is not None:
            axes.plot([value.low, value.high], [at, at], color=SOFT, linewidth=0.9, zorder=1)
        each = [record.metrics[where][metric] for _, record in row.records]
        axes.plot(each, [at] * len(each), linestyle="none", alpha=0.85, zorder=2, **look(0))
        axes.plot(value.mean, at, marker="|", markersize=11, markeredgewidth=1.4, color=INK, zorder=3)
    axes.set_yticks(range(len(rows)), [plain(both(row.extractor, row.model, 34)) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(plain(f"{where} {heading(metric)}"))
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    return figure
