"""A finished figure, and how all of them look: for one column of a page, safe for the colour-blind."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = 3.5
"""Inches: a column of a two-column page."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe & Ito's, less black and yellow, which vanish on one of the two pages. Shapes differ as well."""

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
    # Shapes for letters: the labels were placed for these very widths. The salt makes equal figures equal files.
    "svg.fonttype": "path",
    "svg.hashsalt": "bench",
}


@dataclass(frozen=True)
class Plot:
    """A figure in its file formats."""

    name: str
    """Of its files, without ending."""
    title: str
    alt: str
    """What it shows, for those who cannot see it."""
    svg: str
    """In dark ink, or light ink where the reader prefers a dark page."""
    png: bytes
    width: float = COLUMN
    """Inches."""


def render(name: str, title: str, alt: str, build: Callable[[], Figure]) -> Plot:
    """Build a figure in the common style, and set it as SVG and PNG (200 dpi)."""
    import matplotlib as mpl

    with mpl.rc_context(cast("Any", _STYLE)):  # its keys are typed as literals
        figure = build()
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    return Plot(name, title, alt, _both_inks(svg.getvalue()), png.getvalue(), figure.get_figwidth())


def _both_inks(svg: str) -> str:
    """Give an SVG light ink on a dark page where the reader prefers that: the colours stand in its style attributes."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}' for light, dark in _DARK.items() for what in _PAINT
    )
    start = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:start]}<style>@media(prefers-color-scheme:dark){{{rules}}}</style>{svg[start:]}"


def panels(count: int, columns: int, height: float, *, width: float = COLUMN) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, each `height` and a row of them `width` inches."""
    from matplotlib.figure import Figure

    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def look(index: int) -> dict[str, Any]:
    """Return colour and shape of the series with this number: no two of the first 42 share both."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
