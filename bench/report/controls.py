"""Compare rows with their controls: the same model on vectors that say nothing about the music."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.report.board import Block, Row
from bench.report.budgets import same_model
from bench.report.value import AgainstControls, ControlVerdict
from bench.report.values import Values, tested
from bench.specs import Spec
from bench.stats import Components, holm

ALPHA = 0.05

Read = Callable[[Row], Values | None]
Kind = Literal["shuffled", "random"]


def shuffled_row(block: Block, row: Row) -> Row | None:
    """Return the control with a row's vectors in shuffled order and the same model; None if there is none."""
    if row.first is None:
        return None
    return _control(block, row, str(Spec("shuffled", {"of": row.first.extractor.spec})))


def control_rows(block: Block, row: Row) -> list[Row]:
    """Return the controls of a row: its own vectors in shuffled order, and random vectors, with the same model."""
    found = [shuffled_row(block, row)]
    if row.first is not None and row.first.extractor.name != "none":
        found.append(_control(block, row, "random"))
    return [each for each in found if each is not None]


def _control(block: Block, row: Row, spec: str) -> Row | None:
    first = row.first
    for control in block.controls:
        vectors = control.first and control.first.extractor
        same = vectors and first and (vectors.spec, vectors.view.treat) == (spec, first.extractor.view.treat)
        if same and same_model(row, control):
            return control
    return None


@dataclass(frozen=True)
class _Test:
    """The difference of a row from one of its controls, and its two-sided p."""

    mean: float
    p: float


def compare_with_controls(block: Block, where: str, rows: Sequence[Row], metric: str, read: Read) -> None:
    """Give rows their verdict against their controls on one candidate set; without controls they have none.

    A row is *above* its controls if its mean is above that of each of them with p at most 0.05, and *below* if one of
    them is above the row. The tests are those between rows; p is the largest of those against the controls (a row must
    be above all of them), after Holm's correction over the rows.

    Parameters
    ----------
    block
        The lane of the rows.
    where
        The candidate set.
    rows
        Rows with usable files; their `controls` are changed.
    metric
        The main metric, such as ``ndcg@10``.
    read
        Returns the values of a row; None if it has no usable file.

    """
    found: dict[int, tuple[Components | None, list[_Test]]] = {}
    for at, row in enumerate(rows):
        values = read(row)
        shuffled = shuffled_row(block, row)
        compared = row.evidence(where, metric)  # where it was, its gain is known
        gain, tests = compared.gain if compared else None, []
        for control in control_rows(block, row):
            other = read(control)
            if values is None or other is None or metric not in values.metrics or metric not in other.metrics:
                continue
            if values.users != other.users:
                continue
            (test,) = tested([(values, other, metric)], len(rows))
            tests.append(_Test(test.mean, test.p))
            if control is shuffled and gain is None:
                gain = values.less(other, metric)
        if tests:
            found[at] = gain, tests
    above = _corrected({at: max(_one(test, 1) for test in tests) for at, (_, tests) in found.items()})
    below = _corrected(
        {at: min(1.0, len(tests) * min(_one(test, -1) for test in tests)) for at, (_, tests) in found.items()}
    )
    for at, (gain, _) in found.items():
        verdict: ControlVerdict = "not above"
        if above[at] <= ALPHA:
            verdict = "above"
        elif below[at] <= ALPHA:
            verdict = "below"
        rows[at].controls[where] = AgainstControls(verdict, above[at], gain)
        if verdict != "above":
            values_of = rows[at].values[where]
            values_of.update({name: replace(value, best=False) for name, value in values_of.items()})


def _one(test: _Test, sign: int) -> float:
    """Return p of a difference in the direction of `sign`; 1 if it has the other."""
    return test.p if test.mean * sign > 0 else 1.0


def _corrected(p: dict[int, float]) -> dict[int, float]:
    adjusted = holm({str(at): value for at, value in p.items()})
    return {at: adjusted[str(at)] for at in p}
