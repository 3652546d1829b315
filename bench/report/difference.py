"""The comparison of two rows, listener by listener, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import polars as pl

from bench.errors import BenchError
from bench.report.board import Board, Row, best_on_validation
from bench.report.compare import Comparison, compare, label
from bench.report.format import NONE, SETS, heading, number, p_value, percent
from bench.report.gains import by_artist, by_listener
from bench.report.grid import Cell, Chapter, Grid, Head, Section

NOTE = (
    "p: two-sided, not corrected for other comparisons. Better, worse, equal: shares of the listeners whose value is "
    "higher in the first row, higher in the second, or the same in both."
)
ARTISTS = "An artist's gain is what the artist's held-out tracks contribute to the difference of the means."


def chapter(a: Row, b: Row, metric: str, sets: Sequence[str] = SETS, top: int = 5) -> Chapter:
    """Return the comparison of two rows: first less second.

    Parameters
    ----------
    a, b
        The rows.
    metric
        Metric with its k, such as ``ndcg@10``.
    sets
        Candidate sets; those that a row lacks are left out.
    top
        Number of listeners and of artists with the largest gains, and with the largest losses.

    Raises
    ------
    BenchError
        If the rows have no candidate set in common, or their listeners cannot be paired.

    """
    names = f"{label(a)} less {label(b)}"
    both = [where for where in sets if None not in (a.mean(where, metric), b.mean(where, metric))]
    if not both:
        raise BenchError(f"{label(a)} and {label(b)} have no {metric} on the same candidates ({', '.join(sets)}).")
    found = [compare(a, b, where, metric) for where in both]
    grids = [Grid("difference", "Difference", _heads("Candidates", metric), [Section("", [_line(c) for c in found])])]
    for where in both if top else ():
        for kind, gains in (("Listeners", by_listener), ("Artists", by_artist)):
            frame = gains(a, b, where, metric)
            if frame is not None:
                grids.append(_extremes(f"{where}-{kind.lower()}", f"{kind}, {where}: {heading(metric)}", frame, top))
    return Chapter("difference", names, [], grids, [NOTE, *([ARTISTS] if len(grids) > 1 else [])])


def from_the_best(board: Board) -> Chapter | None:
    """Return the comparisons of each lane's best embedding on validation with all others; None without any."""
    if not board.ranked_by:
        return None
    metric, sections = board.ranked_by[1], []
    for block in board.blocks:
        for where in board.sets:
            chosen = best_on_validation([row for row in block.rows if row.width], where, metric)
            rows = sorted(chosen.values(), key=lambda row: (-(row.validation(where, metric) or 0.0), row.extractor))
            lines = [line for other in rows[1:] if (line := _against(rows[0], other, where, metric))]
            if lines:
                sections.append(Section(f"{where}, {block.lane}: {label(rows[0])} less", lines))
    if not sections:
        return None
    lead = [
        "In each part, the embedding and recommender with the highest value on validation are compared with every "
        "other embedding and its best recommender. `bench diff A B` compares any two records, and names listeners and "
        "artists."
    ]
    pairs = Grid("pairs", "Pairs", _heads("Row", metric), sections)
    return Chapter("listeners", "Listener by listener", lead, [pairs], [NOTE])


def _against(a: Row, b: Row, where: str, metric: str) -> list[Cell] | None:
    try:
        found = compare(a, b, where, metric)
    except BenchError:  # no files of single listeners, or other listeners; the notes of the board say so
        return None
    return [Cell(found.b), *_line(found)[1:]]


def _heads(first: str, metric: str) -> list[Head]:
    name = heading(metric)
    texts = (f"{name}, first", f"{name}, second", "Difference [95 %]", "p", "Better", "Worse", "Equal", "Listeners")
    return [Head(first, right=False), *map(Head, texts)]


def _line(found: Comparison) -> list[Cell]:
    span = "" if found.low is None or found.high is None else f" [{found.low:+.4f}, {found.high:+.4f}]"
    equal = found.users - found.better - found.worse
    shares = [count / found.users for count in (found.better, found.worse, equal)]
    return [
        Cell(found.candidates),
        Cell(number(found.mean_a), value=found.mean_a),
        Cell(number(found.mean_b), value=found.mean_b),
        Cell(f"{found.difference:+.4f}{span}", value=found.difference),
        Cell(p_value(found.p), value=found.p),
        *(Cell(percent(share), value=share) for share in shares),
        Cell(f"{found.users:,}", value=found.users),
    ]


def _extremes(name: str, title: str, frame: pl.DataFrame, top: int) -> Grid:
    """Return the largest gains beside the largest losses."""
    heads = [
        Head(text, group, right=text != "Name")
        for group in ("largest gains", "largest losses")
        for text in ("Name", "Held-out", "Gain")
    ]
    up = frame.filter(pl.col("gain") > 0).head(top).rows()
    down = frame.filter(pl.col("gain") < 0).sort(["gain", "name"]).head(top).rows()
    lines = [[*_person(one), *_person(other)] for one, other in zip_longest(up, down)]
    return Grid(name, title, heads, [Section("", lines)])


def _person(found: tuple[str, int, float] | None) -> list[Cell]:
    if found is None:
        return [Cell(NONE)] * 3
    name, pairs, gain = found
    return [Cell(name), Cell(f"{pairs:,}", value=pairs), Cell(f"{gain:+.4f}", value=gain)]
