"""Metrics on the tracks that an encoder was trained on and on others, by their ids and from the recorded ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.from_ranks import pair_values
from bench.protocols import Heard
from bench.records import slug
from bench.records.ranks import HeldOut, read_ranks
from bench.report.board import Board, Row
from bench.report.format import NONE, RANKED_BY, SETS, heading, number
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.text import one_line


@dataclass(frozen=True)
class Split:
    """One candidate set of one record: held-out tracks and pairs in the list, and the metric on both parts.

    heard, others : mean over the listeners with such a pair; None without one
    """

    tracks: tuple[int, int]
    pairs: tuple[int, int]
    heard: float | None
    others: float | None


def split(held: HeldOut, known: NDArray[np.bool_], metric: str, k: int) -> Split:
    """Return the metric at k on the held-out pairs of the tracks `known` (N,), and on the other pairs.

    A pair has the value of `bench.metrics.from_ranks.pair_values`. The mean over a listener's pairs of a part is the
    listener's value, so that a listener all of whose pairs are in one part has the value of the whole list there.
    """
    values, mine = pair_values(metric, k, held), known[held.item]

    def mean(part: NDArray[np.bool_]) -> float | None:
        count = np.bincount(held.listener[part], minlength=len(held.listeners))
        total = np.bincount(held.listener[part], values[part], minlength=len(held.listeners))
        return float((total[count > 0] / count[count > 0]).mean()) if part.any() else None

    return Split((int(known.sum()), len(known)), (int(mine.sum()), len(mine)), mean(mine), mean(~mine))


def chapter(text: str, boards: Sequence[Board]) -> Chapter:
    """Return a table for each board, whose rows are split by the list in ``NAME=FILE``.

    Raises
    ------
    BenchError
        When the text has another form, or the file has no ids.

    """
    name, _, file = text.partition("=")
    if not name or not file:
        raise BenchError(f"--heard {text}: write NAME=FILE, with the extractor's name and a list of track ids.")
    listed = Heard.listed(Path(file).expanduser(), data=name)
    place, label = slug(name).lower(), one_line(name)
    made = [_grid(board, listed, f"{place}-{at}") for at, board in enumerate(boards, 1)]
    grids = [grid for grid in made if grid]
    lead = [
        f"{len(listed.ids):,} track ids ({one_line(Path(file).name)}, sha256 {listed.sha256[:8]}) were given as those "
        f"that {label} was trained on. The metric is computed on held-out pairs whose track is in the list, and on the "
        "rest.",
        "Both parts are different tracks, so compare rows, not columns: if the list matters, rows with "
        f"{label} gain more on heard tracks over rows of other extractors than they do on the others.",
    ]
    if not grids:
        lead.append("No ranks of held-out tracks are recorded, or none of them is in the list.")
    return Chapter(f"heard-{place}", f"Tracks that {label} has heard", lead, grids)


def _grid(board: Board, listed: Heard, name: str) -> Grid | None:
    sections, metric, k = [], RANKED_BY, 0
    for block in board.blocks:
        found = []
        for row in [*block.rows, *block.controls]:
            k = row.first.k[0] if row.first and row.first.k else 0
            found += _cells(row, listed, metric, k) if k else []
        sections.append(Section(block.lane, found))
    if not any(section.rows for section in sections):
        return None
    at = heading(f"{metric}@{k}")
    heads = [
        Head("Extractor", right=False),
        Head("Model", right=False),
        Head("Set", right=False),
        Head("Heard tracks"),
        Head("Heard pairs"),
        Head(f"{at} heard"),
        Head(f"{at} not heard"),
    ]
    return Grid(f"heard-{name}", board.title, heads, sections)


def _cells(row: Row, listed: Heard, metric: str, k: int) -> list[list[Cell]]:
    """Return a line for each candidate set, with means over seeds and folds."""
    each: dict[str, list[Split]] = {}
    for path, record in row.records:
        held = read_ranks(path, record)
        if isinstance(held, str):
            return []
        for where, one in held.items():
            each.setdefault(where, []).append(split(one, listed.has(one.items), metric, k))
    lines = []
    for where in (where for where in SETS if where in each):
        found = each[where]
        parts = [[one.heard for one in found], [one.others for one in found]]
        means = [
            float(np.mean(known)) if len(known := [value for value in part if value is not None]) == len(part) else None
            for part in parts
        ]
        first = found[0]
        counts = [Cell(f"{some:,} of {every:,}", value=float(some)) for some, every in (first.tracks, first.pairs)]
        values = [Cell(NONE if mean is None else number(mean), value=mean) for mean in means]
        lines.append([Cell(row.extractor), Cell(row.model), Cell(where), *counts, *values])
    return lines
