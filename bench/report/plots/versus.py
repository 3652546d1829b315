"""Recommendation against MIR: scatter plots of the models, and below them lines between both ranks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.report.mrs_mir import Axis, Pair, Versus
from bench.report.plots.labels import label_points, plain, short
from bench.report.plots.plot import COLUMN, INK, LINE, Plot, look, panels, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 4
"""Maximum number of MIR columns in a figure; the tables have all columns."""

PANEL = 2.3
"""Width in inches of each panel, if there are several."""


def draw(comparison: Versus) -> list[Plot]:
    """Return a figure per recommendation column: scatter above, ranks below, one column per MIR task."""
    found = []
    for at, (_, group) in enumerate(groupby(comparison.pairs, key=lambda pair: id(pair.mrs))):
        pairs = list(group)[:MOST]
        mrs = pairs[0].mrs
        names = "; ".join(pair.mir.name for pair in pairs)
        told = "; ".join(f"{p.mir.name}: ρ {p.rho:+.2f}, p {p.p:.2f}" for p in pairs)
        found.append(
            render(
                f"versus-{comparison.name}-{at + 1}",
                f"{mrs.name} (recommendation) against MIR: {names} ({comparison.title}). Above: a point for each "
                "model, with Spearman's ρ, its p before correction, and their number n. Below: ranks on both sides.",
                f"Scatter of {mrs.name} against MIR scores, with lines between ranks. {told}.",
                lambda pairs=pairs: _figure(pairs),  # type: ignore[misc]
            )
        )
    return found


def _figure(pairs: Sequence[Pair]) -> Figure:
    columns = len(pairs)
    figure, axes = panels(2 * columns, columns, 2.2, width=max(COLUMN, PANEL * columns))
    names = list(dict.fromkeys(name for pair in pairs for name, _, _ in pair.points))
    for at, pair in enumerate(pairs):
        _scatter(axes[at], pair, names, first=at == 0)
        _ranks(axes[columns + at], pair, names)
    labels = [[(mir, mrs, short(name, 14)) for name, mrs, mir in pair.points] for pair in pairs]
    label_points(figure, list(zip(axes, labels, strict=False)))
    return figure


def _scatter(axes: Axes, pair: Pair, names: Sequence[str], *, first: bool) -> None:
    for name, mrs, mir in pair.points:
        axes.plot(mir, mrs, linestyle="none", **look(names.index(name)))
    axes.set_title(f"ρ {pair.rho:+.2f}  p {pair.p:.2f}  n {len(pair.points)}", loc="left")
    axes.set_xlabel(_axis(pair.mir))
    if first:
        axes.set_ylabel(_axis(pair.mrs))
    axes.margins(0.22, 0.18)
    axes.grid(True)
    axes.set_axisbelow(True)


def _axis(axis: Axis) -> str:
    """Name a column on two lines with its chance level, which would compress the points if it were drawn."""
    lines = [plain(short(text, 32)) for text in (axis.group, axis.heading) if text]
    if axis.chance is not None:
        lines[-1] += f" (chance {axis.chance:.2g})"
    return "\n".join(lines)


def _ranks(axes: Axes, pair: Pair, names: Sequence[str]) -> None:
    """Draw lines from each model's MIR rank (left) to its recommendation rank (right), best on top."""
    values = np.array([[mrs, mir] for _, mrs, mir in pair.points])
    mrs, mir = ((column[None] > column[:, None]).sum(axis=1) + 1 for column in values.T)
    # Equal values share a rank but get separate places, so that names do not overlap.
    left, right = (_places(rank) for rank in (mir, mrs))
    for (name, _, _), a, b, ra, rb in zip(pair.points, left, right, mir, mrs, strict=True):
        style = look(names.index(name))
        axes.plot([0, 1], [a, b], **style)
        axes.annotate(
            plain(f"{short(name, 12)} {ra}"),
            (0, a),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=6.5,
        )
        axes.annotate(f"{rb}", (1, b), xytext=(5, 0), textcoords="offset points", ha="left", va="center", fontsize=6.5)
    n = len(values)
    axes.set_xlim(-0.75, 1.2)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks([0, 1], ["MIR rank", "MRS rank"], color=INK)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for x in (0, 1):
        axes.axvline(x, color=LINE, linewidth=0.7, zorder=0)


def _places(rank: NDArray[np.int64]) -> list[int]:
    order = np.argsort(rank, kind="stable")
    places = np.empty(len(rank), np.int64)
    places[order] = np.arange(len(rank))
    return [int(place) for place in places]
