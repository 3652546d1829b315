"""A value of a table, and what can be said about it beside the values of other rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.stats import Components

Verdict = Literal["best", "told apart", "equivalent", "not told apart", "undecided"]
"""The comparison of a row with the best row of its lane.

told apart : p is at most 0.05 after Holm's correction
equivalent : not told apart, and two one-sided tests show that the difference is within the margin
undecided : so few users differ that no values could give a p of 0.05
not told apart : everything else
"""


ControlVerdict = Literal["above", "not above", "below"]
"""The comparison of a row with its controls: shuffled rows of its vectors, and random vectors, with the same model.

above : above all of them, with p at most 0.05 after Holm's correction over the rows
below : one of them is above the row, with such a p
not above : everything else
"""


@dataclass(frozen=True)
class AgainstControls:
    """What can be said about a row beside its controls, in the main metric of a candidate set.

    p : that the row is not above all of its controls, after Holm's correction over the rows
    gain : difference from the same vectors in shuffled order; None without that control
    """

    verdict: ControlVerdict
    p: float
    gain: Components | None = None


@dataclass(frozen=True)
class Evidence:
    """What can be said about a row's value beside its own shuffled rows, and beside the best row of its lane.

    gain : difference from the same vectors with shuffled rows; None without such a row
    difference : difference from the best row; None for the best row itself
    differ, users : number of users whose value is not that of the best row, and of all users
    p : two-sided p of the difference after Holm's correction
    comparisons : number of comparisons that Holm's correction counts
    margin : largest difference that counts as equivalent; None if the best row has no gain over its shuffled rows
    two_way : whether the variances include that over the artists of the held-out tracks
    """

    verdict: Verdict
    gain: Components | None = None
    difference: Components | None = None
    differ: int | None = None
    users: int | None = None
    p: float | None = None
    comparisons: int = 0
    margin: float | None = None
    two_way: bool = False


@dataclass(frozen=True)
class Value:
    """The mean of a metric over users, seeds and folds, with its 95 % interval where there is one."""

    mean: float
    low: float | None = None
    high: float | None = None
    best: bool = False
    """Whether the row is not told apart from the best row of its block, and above its controls where it has any."""
    evidence: Evidence | None = None
    """Comparison with shuffled rows and with the best row; None where the row was not compared."""
