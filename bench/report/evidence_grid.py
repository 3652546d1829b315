"""The table of evidence: effects before p values, verdicts, and what could have been detected."""

from __future__ import annotations

from bench.report.board import Block, Board, Row
from bench.report.evidence_notes import below
from bench.report.format import NONE, heading, number, p_value, share, short
from bench.report.grid import Cell, Grid, Head, Section
from bench.report.value import Evidence
from bench.stats import Components

_NAMES = (Head("Extractor", right=False, room=22), Head("Model", right=False, room=16))
COLUMNS = (
    "Gain over shuffled: the difference from the same vectors in shuffled order. From the best: the difference from "
    "the best row; of gain: as a share of the best row's gain. Differ: users whose value is not that of the best row. "
    "Told apart: p is at most 0.05. Undecided: too few users differ for any p of 0.05."
)
"""The note that explains the columns."""


def evidence_grid(board: Board, block: Block, *, brief: bool = False) -> Grid | None:
    """Return the evidence on the main metric of each candidate set; None if no row was compared with anything.

    Columns: the value, the gain over the row's own shuffled rows, the difference from the best row, also as a share of
    the best row's gain, the number of users on whom the two differ, p after Holm's correction, and the verdict. A brief
    table has no values, and half the widths of intervals in place of their bounds.
    """
    if not board.ranked_by:
        return None
    metric = board.ranked_by[1]
    sections = []
    for where in board.sets:
        rows = [(row, row.evidence(where, metric)) for row in block.rows if row.mean(where, metric) is not None]
        rows = [(row, one) for row, one in rows if one or row.controls.get(where)]
        rows.sort(key=lambda each: -each[0].values[where][metric].mean)
        gain = next((one.gain.mean for _, one in rows if one and one.verdict == "best" and one.gain), 0.0)
        if rows:
            sections.append(Section(where, [_cells(row, one, where, metric, gain, brief) for row, one in rows]))
    if not sections:
        return None
    if brief:
        heads = [*_NAMES, Head("Gain over shuffled"), Head("From the best"), Head("Of gain"), Head("Differ"), Head("p")]
    else:
        heads = [
            *_NAMES,
            Head(heading(metric)),
            Head("Gain over shuffled [95 %]"),
            Head("From the best [95 %]"),
            Head("Of gain"),
            Head("Differ"),
            Head("p (Holm)"),
        ]
    heads.append(Head("Verdict", right=False))
    notes = [*below(board, block), *([] if brief else [COLUMNS])]
    return Grid(f"{block.lane}-evidence", f"Evidence on {heading(metric)}", heads, sections, notes)


def _cells(row: Row, one: Evidence | None, where: str, metric: str, best_gain: float, brief: bool) -> list[Cell]:
    mean = row.values[where][metric].mean
    beside = row.controls.get(where)
    if one is None:  # the only row of its users
        one = Evidence("best", gain=beside.gain if beside else None)
        verdict = NONE
    else:
        verdict = one.verdict
    part = one.difference.mean / best_gain if one.difference and best_gain > 0 else None
    return [
        Cell(row.extractor),
        Cell(row.model),
        *(() if brief else (Cell(number(mean), value=mean),)),
        _effect(one.gain, brief),
        _effect(one.difference, brief),
        Cell(share(part), value=part),
        Cell(NONE if one.differ is None else f"{one.differ:,}", value=one.differ),
        Cell(p_value(one.p), value=one.p),
        Cell(verdict),
    ]


def gain_cell(found: Components | None) -> Cell:
    """Return a difference with its sign and half its interval, ``+.0417 ±.0104``."""
    return _effect(found, brief=True)


def _effect(found: Components | None, brief: bool) -> Cell:
    if found is None:
        return Cell(NONE)
    span = found.interval()
    if brief:
        sign = "" if found.mean < 0 else "+"
        half = f" ±{short((span.high - span.low) / 2)}" if span else ""
        return Cell(sign + short(found.mean).replace("-0.", "-.") + half, value=found.mean)
    bounds = f" [{_signed(span.low)}, {_signed(span.high)}]" if span else ""
    return Cell(_signed(found.mean) + bounds, value=found.mean)


def _signed(value: float) -> str:
    """Return a difference with its sign, ``+0.0123``."""
    text = number(value)
    return text if text.startswith("-") else f"+{text}"
