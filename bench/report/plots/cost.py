"""Quality against cost: the best row of each embedding against its extraction time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.records import slug
from bench.report.board import Block, Board, Row
from bench.report.format import heading
from bench.report.plots.labels import label_points, short
from bench.report.plots.plot import SOFT, Plot, look, panels, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def seconds_per_1000(row: Row) -> float | None:
    """Return the seconds needed to embed 1,000 tracks."""
    return row.cost(lambda cost: cost.extract_s_per_1000)


def draw(board: Board, block: Block) -> Plot | None:
    """Plot quality against cost, one point per embedding; None if fewer than two were timed."""
    if not board.ranked_by:
        return None
    where, metric = board.ranked_by
    best: dict[str, Row] = {}
    for row in block.rows:  # best row first
        if seconds_per_1000(row) and row.mean(where, metric) is not None:
            best.setdefault(row.extractor, row)
    if len(best) < 2:
        return None
    rows = list(best.values())
    machines = sorted({where for row in rows for where in row.about(lambda e: f"{e.cpu}, {e.device}")})
    where_timed = machines[0] if len(machines) == 1 else "unlike machines, not comparable"
    return render(
        slug(f"cost-{board.data}-{board.split}-{board.fingerprint[:8]}-{block.lane}"),
        f"Cost against quality ({board.title}, lane {block.lane}): each embedding with its best recommender. Upright "
        f"lines: 95 % intervals; dotted: chance. Timed on: {where_timed}.",
        f"Points of {where} {heading(metric)} over seconds per 1,000 tracks: "
        f"{', '.join(f'{row.extractor} with {row.model}' for row in rows)}.",
        lambda: _figure(rows, block, where, metric),
    )


def _figure(rows: list[Row], block: Block, where: str, metric: str) -> Figure:
    from matplotlib.ticker import LogLocator, NullLocator

    figure, (axes,) = panels(1, 1, 2.6)
    points = []
    for at, row in enumerate(rows):
        value = row.values[where][metric]
        seconds = seconds_per_1000(row) or 0.0
        style = look(at)
        if value.low is not None and value.high is not None:
            axes.plot([seconds, seconds], [value.low, value.high], color=style["color"], linewidth=0.9, alpha=0.7)
        axes.plot(seconds, value.mean, linestyle="none", **style)
        points.append((seconds, value.mean, short(row.extractor, 24)))
    if (level := block.chance.mean(where, metric)) is not None:
        axes.axhline(level, color=SOFT, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())  # its labels would overlap
    axes.margins(0.25, 0.15)
    axes.set_xlabel("seconds per 1,000 tracks (log)")
    axes.set_ylabel(f"{where} {heading(metric)}")
    axes.grid(True)
    axes.set_axisbelow(True)
    label_points(figure, [(axes, points)])
    return figure
