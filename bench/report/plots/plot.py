"""A finished figure and the common style: one column wide, with colours safe for colour-blind readers."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = 3.5
"""Width in inches of a column on a two-column page."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours without black and yellow, which are invisible on dark or light pages."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, SOFT, LINE, PAGE = "#1b1f24", "#57606a", "#c9d0d8", "#ffffff"
_PAINT = ("fill", "stroke")
_DARK = {INK: "#e6e8eb", SOFT: "#9aa4af", LINE: "#3a424c", PAGE: "#14171b"}

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": PAGE,
    "axes.linewidth": 0.6,
    "figure.facecolor": PAGE,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "savefig.facecolor": PAGE,
    # Text as paths keeps the widths used to place labels. A fixed salt makes equal figures equal files.
    "svg.fonttype": "path",
    "svg.hashsalt": "bench",
}


@dataclass(frozen=True)
class Plot:
    """A figure in its file formats."""

    name: str
    """File name without extension."""
    title: str
    alt: str
    """Alternative text that describes the figure."""
    svg: str
    """SVG text that adapts its colours to light and dark mode."""
    png: bytes
    width: float = COLUMN
    """Width in inches."""


def render(name: str, title: str, alt: str, build: Callable[[], Figure]) -> Plot:
    """Build a figure in the common style, and render it as SVG and PNG (200 dpi)."""
    import matplotlib as mpl

    with mpl.rc_context(cast("Any", _STYLE)):  # matplotlib types its keys as literals
        figure = build()
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    return Plot(name, title, alt, _both_inks(svg.getvalue()), png.getvalue(), figure.get_figwidth())


def _both_inks(svg: str) -> str:
    """Add a style sheet to an SVG that replaces the colours in its style attributes in dark mode."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}' for light, dark in _DARK.items() for what in _PAINT
    )
    start = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:start]}<style>@media(prefers-color-scheme:dark){{{rules}}}</style>{svg[start:]}"


def panels(count: int, columns: int, height: float, *, width: float = COLUMN) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels; each is `height` inches high, and a row is `width` inches wide."""
    from matplotlib.figure import Figure

    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def look(index: int) -> dict[str, Any]:
    """Return colour and marker of a series; no two of the first 42 series share both."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
