"""The table of evidence: effects before p values, and what could have been detected."""

from __future__ import annotations

from bench.report.board import Block, Board, Evidence, Row
from bench.report.evidence import ALPHA
from bench.report.format import NONE, heading, number, p_value, share, short
from bench.report.grid import Cell, Grid, Head, Section
from bench.report.power import comparisons
from bench.stats import Components
from bench.stats.power import POWER


def evidence_grid(board: Board, block: Block) -> Grid | None:
    """Return the evidence on the main metric of each candidate set; None unless two rows were compared.

    Columns: the value, the gain over the row's own shuffled rows, the difference from the best row, also as a share of
    the best row's gain, the number of users on whom the two differ, p after Holm's correction, and the verdict.
    """
    if not board.ranked_by:
        return None
    metric = board.ranked_by[1]
    sections = []
    for where in board.sets:
        rows = [(row, one) for row in block.rows if (one := row.evidence(where, metric))]
        rows.sort(key=lambda each: -each[0].values[where][metric].mean)
        if len(rows) > 1:
            gain = next((one.gain for _, one in rows if one.verdict == "best"), None)
            sections.append(Section(where, [_cells(row, one, where, metric, gain) for row, one in rows]))
    if not sections:
        return None
    heads = [
        Head("Extractor", right=False),
        Head("Model", right=False),
        Head(heading(metric)),
        Head("Gain over shuffled [95 %]"),
        Head("Difference from the best [95 %]"),
        Head("Of the best's gain"),
        Head("Users that differ"),
        Head("p (Holm)"),
        Head("Verdict", right=False),
    ]
    return Grid(
        f"{block.lane}-evidence", f"Evidence on {heading(metric)}", heads, sections, evidence_notes(board, block)
    )


def _cells(row: Row, one: Evidence, where: str, metric: str, best_gain: Components | None) -> list[Cell]:
    mean = row.values[where][metric].mean
    part = one.difference.mean / best_gain.mean if one.difference and best_gain and best_gain.mean > 0 else None
    return [
        Cell(row.extractor),
        Cell(row.model),
        Cell(number(mean), value=mean),
        _effect(one.gain),
        _effect(one.difference),
        Cell(share(part), value=part),
        Cell(NONE if one.differ is None else f"{one.differ:,}", value=one.differ),
        Cell(p_value(one.p), value=one.p),
        Cell(one.verdict, bold=one.verdict != "told apart"),
    ]


def _effect(found: Components | None) -> Cell:
    if found is None:
        return Cell(NONE)
    span = found.interval()
    bounds = f" [{signed(span.low)}, {signed(span.high)}]" if span else ""
    return Cell(signed(found.mean) + bounds, value=found.mean)


def signed(value: float) -> str:
    """Return a difference with its sign, ``+0.0123``."""
    text = number(value)
    return text if text.startswith("-") else f"+{text}"


def evidence_notes(board: Board, block: Block) -> list[str]:
    """Return what belongs below the evidence of a lane: what could have been detected, and what counts as equivalent."""
    assert board.ranked_by
    metric = board.ranked_by[1]
    least, margins, without = [], [], []
    for where in board.sets:
        found = comparisons(block, where, metric)
        if found:
            of_gain = f" ({share(found[0].smallest / found[0].gain)} of the gain over shuffled)" if found[0].gain else ""
            least.append(f"{where} {short(found[0].smallest)}{of_gain}")
        best = next((row for row in block.rows if _is_best(row, where, metric)), None)
        if best is None:
            continue
        one = best.evidence(where, metric)
        if one and one.margin is not None:
            margins.append(f"{where} ±{short(one.margin)}")
        elif one:
            why = "is not above its shuffled rows" if one.gain else "has no shuffled rows"
            without.append(f"{where} ({best.extractor} × {best.model} {why})")
    said = []
    if least:
        said.append(
            f"Smallest difference that could be told apart with {100 * POWER:.0f} % power: {', '.join(least)}."
        )
    if margins:
        said.append(f"Equivalent: within the margin by two one-sided tests; the margin is {', '.join(margins)}.")
    if without:
        said.append(f"No margin of equivalence, because the best row has no gain over shuffled rows: {', '.join(without)}.")
    return said


def _is_best(row: Row, where: str, metric: str) -> bool:
    one = row.evidence(where, metric)
    return one is not None and one.verdict == "best"
