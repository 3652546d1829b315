"""MIR results by layer: one line per extractor, one panel per task."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.records import slug
from bench.report.format import heading
from bench.report.mir import Asked, Embedding, Probed
from bench.report.plots.labels import label_ends, plain, short
from bench.report.plots.plot import Plot, look, panels, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Line = list[tuple[str, float]]
"""(layer, value) pairs, from the first layer to the last."""


def draw(probed: Probed) -> Plot | None:
    """Plot the primary metric by layer; None if no extractor was probed on two layers."""
    tasks = {asked: lines for asked in probed.columns if (lines := _lines(probed, asked))}
    if not tasks:
        return None
    names = sorted({name for lines in tasks.values() for name in lines})
    return render(
        slug(f"layers-{probed.lane}"),
        f"MIR tasks layer by layer (lane {probed.lane}). Large mark: the best layer of an extractor.",
        f"Lines over the layers of {', '.join(names)} for {', '.join(asked.task for asked in tasks)}.",
        lambda: _figure(tasks, names, probed),
    )


def _lines(probed: Probed, asked: Asked) -> dict[str, Line]:
    """Return the line of each extractor setting that has at least two layers."""
    found: dict[str, list[Embedding]] = {}
    for row in probed.rows.values():
        if asked in row.answers and len(row.layers) == 1 and not row.control:
            spec = re.sub(r"(:|,)layer=[^,]*", lambda m: ":" if m[1] == ":" else "", row.label.partition(" layer ")[0])
            found.setdefault(spec.replace(":,", ":").rstrip(":"), []).append(row)
    return {
        name: [(str(row.layers[0]), row.answers[asked].mean) for row in sorted(rows, key=_depth)]
        for name, rows in found.items()
        if len(rows) > 1
    }


def _depth(row: Embedding) -> list[tuple[int, int | str]]:
    """Return the sort key of a row's layer; numbers in its name sort as numbers."""
    pieces = re.split(r"(\d+)", str(row.layers[0]))
    return [(0, int(piece)) if piece.isdigit() else (1, piece) for piece in pieces if piece]


def _figure(tasks: dict[Asked, dict[str, Line]], names: list[str], probed: Probed) -> Figure:
    figure, axes = panels(len(tasks), 1, 2.1)
    for place, (asked, lines) in zip(axes, tasks.items(), strict=True):
        layers = max((line for line in lines.values()), key=len)
        for name, line in lines.items():
            style = look(names.index(name))
            values = [value for _, value in line]
            place.plot(range(len(line)), values, **style)
            best = max(range(len(line)), key=lambda i: values[i])
            place.plot(best, values[best], markersize=7, **style)
        every = max(1, -(-len(layers) // 13))
        shown = range(0, len(layers), every)
        place.set_xticks(list(shown), [plain(layers[i][0]) for i in shown])
        level = probed.chance.get(asked)
        known = "" if level is None else f" (chance {level:.2g})"
        place.set_title(plain(f"{short(asked.title, 40)}{known}"), loc="left")
        place.set_ylabel(plain(heading(asked.metric)))
        place.grid(True, axis="y")
        if place is axes[-1]:
            place.set_xlabel("layer")
    label_ends(
        figure,
        [
            (place, max(map(len, lines.values())) - 1, [(line[-1][1], short(name, 16)) for name, line in lines.items()])
            for place, lines in zip(axes, tasks.values(), strict=True)
        ],
    )
    return figure
