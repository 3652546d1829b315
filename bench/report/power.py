"""What the comparisons of a board can detect, from the variances of their differences."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.board import Block, Evidence, Row
from bench.report.evidence import ALPHA
from bench.stats import Components, smallest_detectable
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
