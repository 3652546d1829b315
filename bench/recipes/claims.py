"""Test the claims of a paper: each is a set of differences between results, tested with Holm's correction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import erfc, sqrt
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.stats import LEAST_USERS, holm, interval, paired_test

ALPHA = 0.05

Verdict = Literal["held", "failed", "undecided", "not measured"]


class Place(NamedTuple):
    """A cell of a paper's tables: a row (an embedding) and a column (a recommender or task), by printed names."""

    row: str
    column: str

    def __str__(self) -> str:
        """Return a short name for tables."""
        return f"{self.row}, {self.column}"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, in our wording, and the differences that it consists of.

    Each pair in `above` states that the first cell has a higher value than the second.
    """

    key: str
    text: str
    section: str
    above: Sequence[tuple[Place, Place]]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A measured value with its uncertainty.

    `draws` (resamples,) are the values for resampled users (and seeds); all cells are resampled together, so
    that differences are paired. If there are no draws, `error` is the standard error. `users` (S, U) are the
    values of individual users by seed: if both places have them, their difference is tested.
    """

    mean: float
    draws: NDArray[np.float64] | None = None
    error: float | None = None
    users: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Contrast:
    """The difference above minus below, its 95 % interval if there is one, and its two-sided p, corrected by Holm."""

    above: Place
    below: Place
    difference: float
    low: float | None
    high: float | None
    p: float

    @property
    def decided(self) -> Literal[-1, 0, 1]:
        """1 if above is significantly higher, -1 if it is significantly lower, otherwise 0."""
        if self.p > ALPHA:
            return 0
        return 1 if self.difference > 0 else -1


@dataclass(frozen=True)
class Judged:
    """A claim, its verdict, and the measured differences."""

    claim: Claim
    verdict: Verdict
    contrasts: Sequence[Contrast]


def judge(claims: Sequence[Claim], found: Mapping[Place, Estimate]) -> list[Judged]:
    """Test all claims with the measured values.

    The p values of all differences of all claims are corrected together, as one family. A claim "held" if all
    its differences are measured and significant in the claimed direction, "failed" if one is significant in the
    opposite direction, is "not measured" if no difference was measured, and is otherwise "undecided".

    References
    ----------
    Holm, Scandinavian Journal of Statistics 6 (1979).

    """
    pairs = list(dict.fromkeys(pair for claim in claims for pair in claim.above))
    measured = {pair: _contrast(*pair, found, len(pairs)) for pair in pairs if pair[0] in found and pair[1] in found}
    p_values = holm({f"{a} > {b}": contrast.p for (a, b), contrast in measured.items()})
    corrected = {(a, b): replace(contrast, p=p_values[f"{a} > {b}"]) for (a, b), contrast in measured.items()}
    return [_judged(claim, [corrected[pair] for pair in claim.above if pair in corrected]) for claim in claims]


def _judged(claim: Claim, contrasts: Sequence[Contrast]) -> Judged:
    signs = [contrast.decided for contrast in contrasts]
    verdict: Verdict = "undecided"
    if not signs:
        verdict = "not measured"
    elif -1 in signs:
        verdict = "failed"
    elif len(signs) == len(claim.above) and all(sign == 1 for sign in signs):
        verdict = "held"
    return Judged(claim, verdict, contrasts)


def _contrast(above: Place, below: Place, found: Mapping[Place, Estimate], comparisons: int) -> Contrast:
    a, b = found[above], found[below]
    difference = a.mean - b.mean
    low: float | None
    high: float | None
    if a.draws is not None and b.draws is not None:
        drawn = a.draws - b.draws
        error = float(drawn.std(ddof=1))
        low, high = interval(drawn)
    else:
        error = float(np.hypot(_error(a), _error(b)))
        low, high = (difference - 1.96 * error, difference + 1.96 * error) if error else (None, None)
    if a.users is not None and b.users is not None and a.users.shape[1] == b.users.shape[1]:
        few = a.users.shape[1] < LEAST_USERS
        p = 1.0 if few else paired_test(a.users, b.users, comparisons=comparisons).p
    else:
        p = erfc(abs(difference / error) / sqrt(2)) if error > 0 else 1.0
    return Contrast(above, below, difference, low, high, p)


def _error(estimate: Estimate) -> float:
    if estimate.draws is not None:
        return float(estimate.draws.std())
    return estimate.error or 0.0


def pairs(above: str | Iterable[str], below: str | Iterable[str], column: str) -> list[tuple[Place, Place]]:
    """Return the pairs (a, b) of cells in one column, for each a in `above` and b in `below`, except a = b."""
    first = [above] if isinstance(above, str) else list(above)
    second = [below] if isinstance(below, str) else list(below)
    return [(Place(a, column), Place(b, column)) for a in first for b in second if a != b]
