"""Figures of a report, as SVG and PNG, with matplotlib (extra ``report``); nothing here is imported without it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.report.plots.plot import Plot

if TYPE_CHECKING:
    from bench.report.board import Board
    from bench.report.mir import Probed
    from bench.report.mrs_mir import Versus

__all__ = ["Plot", "absent", "draw"]


def absent() -> str | None:
    """Return why figures cannot be drawn and what to install; None if they can."""
    if importlib.util.find_spec("matplotlib"):
        return None
    return "no figures: matplotlib is not installed. pip install 'music-embedding-bench[report]'"


def draw(boards: Sequence[Board], comparisons: Sequence[Versus] = (), probed: Sequence[Probed] = ()) -> list[Plot]:
    """Return every figure for which the records have enough data.

    The figures show recommendation against MIR, metrics by k, spread over seeds, MIR results by layer, and quality
    against cost.
    """
    from bench.report.plots import cost, curves, layers, seeds, versus

    found = [plot for each in comparisons for plot in versus.draw(each)]
    for board in boards:
        for block in board.blocks:
            for made in (curves.draw(board, block), seeds.draw(board, block), cost.draw(board, block)):
                found += [] if made is None else [made]
    return found + [plot for each in probed if (plot := layers.draw(each)) is not None]
