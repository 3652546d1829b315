"""What the comparisons of a board can detect, from the variances of their differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.report.board import Block, Board, Row
from bench.report.controls import ALPHA
from bench.report.evidence import MARGIN
from bench.report.format import NONE, heading, share, short
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.report.value import Evidence
from bench.stats import Components, Part, needed, smallest_detectable
from bench.stats.power import POWER


@dataclass(frozen=True, eq=False)
class Comparison:
    """A row beside the best row of its lane on one candidate set.

    smallest : the smallest true difference that the test finds with a given probability
    gain : gain of the best row over its shuffled rows; None if it is unknown or not positive
    """

    best: Row
    row: Row
    difference: Components
    evidence: Evidence
    smallest: float
    gain: float | None

    @property
    def alpha(self) -> float:
        """The level of the first step of Holm's procedure."""
        return ALPHA / max(self.evidence.comparisons, 1)

    def __str__(self) -> str:
        """Return the name of the row."""
        return f"{self.row.extractor} × {self.row.model}"


def comparisons(block: Block, where: str, metric: str, power: float = POWER) -> list[Comparison]:
    """Return the comparisons of a lane with the best row in a metric (``ndcg@10``), the closest row first.

    Rows with the same values as the best one are left out: nothing varies in their difference.
    """
    found = [(row, one) for row in block.rows if (one := row.evidence(where, metric))]
    best = next(((row, one) for row, one in found if one.verdict == "best"), None)
    if best is None:
        return []
    gain = best[1].gain.mean if best[1].gain and best[1].gain.mean > 0 else None
    made = []
    for row, one in found:
        if one.difference is None:
            continue
        smallest = smallest_detectable(one.difference, alpha=ALPHA / max(one.comparisons, 1), power=power)
        if smallest is not None:
            made.append(Comparison(best[0], row, one.difference, one, smallest, gain))
    return sorted(made, key=lambda each: abs(each.difference.mean))


SHOWN = 3
"""Number of comparisons shown of each candidate set, closest first."""


def chapter(board: Board, metric: str, difference: float | None, power: float) -> Chapter | None:
    """Return what the closest comparisons of a board can detect, and what a difference needs; None without any.

    Parameters
    ----------
    board
        With evidence on the metric.
    metric
        The metric at its cut-off, such as ``ndcg@10``.
    difference
        The true difference to detect; by default, a tenth of the best row's gain over its shuffled rows.
    power
        Probability of detecting it.

    """
    grids = [grid for block in board.blocks if (grid := _grid(board, block, metric, difference, power))]
    if not grids:
        return None
    lead = [
        f"{heading(metric)}: the rows closest to the best row of their lane. Detectable: the smallest true difference "
        f"that a test finds with {100 * power:g} % power at p {ALPHA:g} after Holm's correction, and its share of the "
        "best row's gain over shuffled. Needed: as many listeners, artists or seeds detect the wanted difference while "
        "the other numbers stay; those of now in parentheses. All follow from variances, not from observed differences."
    ]
    return Chapter("power", board.title, lead, grids)


def _grid(board: Board, block: Block, metric: str, difference: float | None, power: float) -> Grid | None:
    sections, notes = [], []
    for where in board.sets:
        found = comparisons(block, where, metric, power)[:SHOWN]
        if not found:
            continue
        best, gain = f"{found[0].best.extractor} × {found[0].best.model}", found[0].gain
        wanted = difference or (MARGIN * gain if gain else None)
        sections.append(
            Section(
                f"{where}, to detect {short(wanted)}" if wanted else where, [_cells(o, wanted, power) for o in found]
            )
        )
        notes.append(f"{where}: the best row is {best}.")
        if wanted:
            alike: dict[str, list[str]] = {}
            for one in found:
                for text in _hopeless(one, wanted, power):
                    alike.setdefault(text, []).append(str(one))
            notes += [f"{where}: {text} ({', '.join(names)})." for text, names in alike.items()]
        else:
            notes.append(f"{where}: it has no gain over shuffled rows to take a tenth of; give --difference.")
    of_variance, to_detect = "of variance", "needed (now)"
    heads = [
        Head("Row", right=False),
        Head("Difference"),
        Head("Detectable"),
        *(Head(name, of_variance) for name in ("Listeners", "Artists", "Pairs", "Seeds")),
        *(Head(name, to_detect) for name in ("Listeners", "Artists", "Seeds")),
    ]
    return Grid(f"{block.lane}-power", f"Lane {block.lane}", heads, sections, notes) if sections else None


def _cells(one: Comparison, wanted: float | None, power: float) -> list[Cell]:
    parts, shares = one.difference, _shares(one.difference)
    numbers = [Cell(NONE)] * 3
    if wanted:
        least = needed(parts, wanted, alpha=one.alpha, power=power)
        numbers = [
            _number(part, n) for part, n in zip((parts.listeners, parts.clusters, parts.seeds), least, strict=True)
        ]
    return [
        Cell(str(one)),
        Cell(short(parts.mean).replace("-0.", "-."), value=parts.mean),
        _smallest(one),
        *(Cell(share(part), value=part) for part in shares.values()),
        *numbers,
    ]


def _smallest(one: Comparison) -> Cell:
    if one.smallest >= 1:
        return Cell("none below 1")
    of_gain = f" ({share(one.smallest / one.gain)})" if one.gain else ""
    return Cell(short(one.smallest) + of_gain, value=one.smallest)


def _number(part: Part, n: int | None) -> Cell:
    """Return the number needed of what varies, and how many there are now."""
    if not part.variance:
        return Cell(NONE)
    return Cell(f"{'none' if n is None else f'{n:,}'} ({part.n:,})", value=n)


def _shares(parts: Components) -> dict[str, float | None]:
    """Return the shares of listeners, artists, pairs of both, and seeds in the variance; None where nothing varies."""
    pairs = min(parts.pairs.variance, parts.listeners.variance, parts.clusters.variance)
    found = {
        "listeners": (parts.listeners, parts.listeners.variance - pairs),
        "artists": (parts.clusters, parts.clusters.variance - pairs),
        "pairs": (parts.pairs, pairs),
        "seeds": (parts.seeds, parts.seeds.variance),
    }
    total = sum(variance for _, variance in found.values())
    return {name: variance / total if part.variance else None for name, (part, variance) in found.items()}


def _hopeless(one: Comparison, wanted: float, power: float) -> Iterator[str]:
    """Say of what no number suffices, and what dominates instead."""
    parts = one.difference
    least = needed(parts, wanted, alpha=one.alpha, power=power)
    shares = {name: part for name, part in _shares(parts).items() if part and name != "pairs"}
    each = {"listeners": parts.listeners, "artists": parts.clusters, "seeds": parts.seeds}
    for (name, part), n in zip(each.items(), least, strict=True):
        others = {other: value for other, value in shares.items() if other != name}
        if n is None and part.variance and others:
            yield f"no number of {name} suffices: {max(others, key=lambda other: others[other])} dominate"
