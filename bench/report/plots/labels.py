"""Place labels beside points and at the ends of lines so that they do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.report.plots.plot import SOFT
from bench.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMALL = 6.5
"""Font size of labels in points."""

_LINE: dict[str, Any] = {"arrowstyle": "-", "color": SOFT, "lw": 0.5, "shrinkA": 0, "shrinkB": 2}
"""Style of the line between a label and its point."""

_REACHES = (5, 11, 18, 27, 38)
"""Possible distances in points between a label and its point, nearest first."""

_PLACES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""Possible directions (x, y) from a point to its label, preferred ones first."""


def short(label: str, most: int = 22) -> str:
    """Shorten a label to at most `most` characters."""
    return label if len(label) <= most else f"{label[: most - 1]}…"


def plain(label: str) -> str:
    """Return a label on one line, with dollar signs escaped, which would start a formula in matplotlib."""
    return one_line(label).replace("$", r"\$")


def both(extractor: str, model: str, most: int) -> str:
    """Return ``extractor × model`` in at most `most` characters, and shorten the longer name first."""
    room = most - 3
    cut = max(room // 2, room - len(model))
    return f"{short(extractor, cut)} × {short(model, room - min(len(extractor), cut))}"


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """Move places as little as possible until they are at least `gap` apart; keep their order."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list[int]] = []
    centre: list[float] = []
    for i in order:
        groups.append([i])
        centre.append(places[i])
        while len(groups) > 1 and centre[-1] - centre[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            last = groups.pop()
            centre.pop()
            groups[-1] += last
            centre[-1] = sum(places[j] for j in groups[-1]) / len(groups[-1])
    out = [0.0] * len(places)
    for members, middle in zip(groups, centre, strict=True):
        for at, i in enumerate(members):
            out[i] = middle + (at - (len(members) - 1) / 2) * gap
    return out


def label_ends(figure: Figure, panels: Sequence[tuple[Axes, float, Sequence[tuple[float, str]]]]) -> None:
    """Label the line ends (y, text) to the right of each panel (axes, x, ends), without overlaps."""
    longest = max((len(text) for _, _, ends in panels for _, text in ends), default=0)
    room = longest * _SMALL * 0.62 / 72 / figure.get_figwidth() + 0.03
    figure.set_layout_engine("constrained", rect=(0, 0, 1 - min(room, 0.6), 1))
    figure.draw_without_rendering()
    for axes, x, ends in panels:
        low, high = axes.get_ylim()
        inches = axes.get_position().height * figure.get_figheight()
        gap = _SMALL * 1.15 / 72 / inches * (high - low)
        for (y, text), place in zip(ends, spread_out([y for y, _ in ends], gap), strict=True):
            written = axes.annotate(
                plain(text),
                (x, y),
                xytext=(1.03, (place - low) / (high - low)),
                textcoords="axes fraction",
                fontsize=_SMALL,
                va="center",
                annotation_clip=False,
                arrowprops=_LINE | {"relpos": (0, 0.5)},
            )
            written.set_in_layout(False)


def label_points(figure: Figure, panels: Sequence[tuple[Axes, Sequence[tuple[float, float, str]]]]) -> None:
    """Label each point (x, y, text) of each panel where it covers least; draw a line to distant labels."""
    figure.draw_without_rendering()
    for axes, points in panels:
        _label_panel(axes, points)


def _label_panel(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    frame = axes.get_window_extent().extents
    at = axes.transData.transform([(x, y) for x, y, _ in points])
    scale = 72 / axes.figure.dpi
    half = 3 / scale
    taken: list[Sequence[float]] = [(x - half, y - half, x + half, y + half) for x, y in at]
    for (x, y, text), (px, py) in zip(points, at, strict=True):
        written = axes.annotate(plain(text), (x, y), xytext=(0, 0), textcoords="offset points", fontsize=_SMALL)
        written.set_in_layout(False)
        box = written.get_window_extent()
        spots = [
            (reach, _beside(px, py, box.width, box.height, dx * reach / scale, dy * reach / scale))
            for reach in _REACHES
            for dx, dy in _PLACES
        ]

        def cost(spot: tuple[float, Sequence[float]]) -> float:
            reach, where = spot
            covered = sum(_overlap(where, other) for other in taken)
            return covered + 50 * _outside(where, frame) + reach

        reach, best = min(spots, key=cost)
        taken.append(best)
        place = ((best[0] - px) * scale, (best[1] - py) * scale)
        if reach == _REACHES[0]:
            written.set_position(place)
        else:
            written.remove()
            # Start at the side that faces the point: from the middle, the line could cross other labels.
            near = (min(max((px - best[0]) / box.width, 0), 1), min(max((py - best[1]) / box.height, 0), 1))
            line = _LINE | {"relpos": near}
            far = axes.annotate(
                plain(text), (x, y), place, textcoords="offset points", fontsize=_SMALL, arrowprops=line
            )
            far.set_in_layout(False)


def _beside(x: float, y: float, width: float, height: float, dx: float, dy: float) -> Sequence[float]:
    """Return the box of a label at (dx, dy) from a point, aligned by the signs of dx and dy."""
    left = x + dx - (width if dx < 0 else width / 2 if dx == 0 else 0)
    low = y + dy - (height if dy < 0 else height / 2 if dy == 0 else 0)
    return (left, low, left + width, low + height)


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _outside(spot: Sequence[float], frame: Sequence[float]) -> float:
    sides = (frame[0] - spot[0], frame[1] - spot[1], spot[2] - frame[2], spot[3] - frame[3])
    return sum(max(0.0, side) for side in sides)
