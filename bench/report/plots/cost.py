"""Quality against cost: each embedding with the recommender that validation chose, against its extraction time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.records import slug
from bench.report.board import Block, Board, Row, best_on_validation
from bench.report.format import heading
from bench.report.plots.labels import label_points, short
from bench.report.plots.plot import SOFT, Plot, look, panels, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SETS = ("cold", "hot")


def seconds_per_1000(row: Row) -> float | None:
    """Return the seconds needed to embed 1,000 tracks."""
    return row.cost(lambda cost: cost.extract_s_per_1000)


def draw(board: Board, block: Block) -> Plot | None:
    """Plot quality against cost, one point per embedding; None if fewer than two were timed."""
    if not board.ranked_by:
        return None
    metric = board.ranked_by[1]
    timed = [row for row in block.rows if seconds_per_1000(row)]
    chosen = {where: best_on_validation(timed, where, metric) for where in _SETS if where in board.sets}
    chosen = {where: rows for where, rows in chosen.items() if len(rows) > 1}
    if not chosen:
        return None
    machines = sorted({where for row in timed for where in row.about(lambda e: f"{e.cpu}, {e.device}")})
    where_timed = machines[0] if len(machines) == 1 else "unlike machines, not comparable"
    points = "; ".join(
        f"{where}: {', '.join(f'{row.extractor} with {row.model}' for row in rows.values())}"
        for where, rows in chosen.items()
    )
    return render(
        slug(f"cost-{board.data}-{board.split}-{board.fingerprint[:8]}-{block.lane}"),
        f"Cost against quality ({board.title}, lane {block.lane}): each embedding with the recommender that is best on "
        "validation. Upright lines: 95 % intervals; dotted: chance; dashed: popularity. "
        f"Timed on: {where_timed}.",
        f"Points of {heading(metric)} over seconds per 1,000 tracks: {points}.",
        lambda: _figure(chosen, block, metric),
    )


def _figure(chosen: Mapping[str, Mapping[str, Row]], block: Block, metric: str) -> Figure:
    figure, found = panels(len(chosen), 1, 2.6)
    names = dict.fromkeys(name for rows in chosen.values() for name in rows)
    styles = {name: look(at) for at, name in enumerate(names)}
    placed = []
    for axes, (where, rows) in zip(found, chosen.items(), strict=True):
        points = []
        for name, row in rows.items():
            value = row.values[where][metric]
            seconds = seconds_per_1000(row) or 0.0
            if value.low is not None and value.high is not None:
                axes.plot([seconds] * 2, [value.low, value.high], color=styles[name]["color"], linewidth=0.9, alpha=0.7)
            axes.plot(seconds, value.mean, linestyle="none", **styles[name])
            points.append((seconds, value.mean, short(name, 24)))
        popularity = next((r for r in block.controls if r.first and r.first.recommender.name == "popularity"), None)
        for line, known in ((":", block.chance), ("--", popularity)):
            if known and (level := known.mean(where, metric)) is not None:
                axes.axhline(level, color=SOFT, linewidth=0.8, linestyle=line)
        _scale(axes, f"{where} {heading(metric)}")
        placed.append((axes, points))
    found[-1].set_xlabel("seconds per 1,000 tracks (log)")
    label_points(figure, placed)
    return figure


def _scale(axes: Axes, label: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())  # its labels would overlap
    axes.margins(0.25, 0.15)
    axes.set_ylabel(label)
    axes.grid(True)
    axes.set_axisbelow(True)
