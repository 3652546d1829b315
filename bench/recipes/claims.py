"""What a paper concludes, as differences between cells that a run can decide: held, failed or undecided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import erfc, sqrt
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.stats import holm, interval
from bench.stats.paired import paired

ALPHA = 0.05

Verdict = Literal["held", "failed", "undecided", "not measured"]


class Place(NamedTuple):
    """A cell of a paper's tables, by printed names: a row (an embedding) in a column (a recommender or a task)."""

    row: str
    column: str

    def __str__(self) -> str:
        """Return a short name for tables."""
        return f"{self.row}, {self.column}"


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, said again in our words, and the differences that it amounts to.

    Every pair of `above` says that the first place has a higher figure than the second.
    """

    key: str
    text: str
    section: str
    above: Sequence[tuple[Place, Place]]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure with its doubt.

    `draws` (resamples,) are its values when users (and seeds) are drawn anew: those of two places are drawn
    together, so that their difference is paired. Where there are none, `error` is the standard error.
    `users` (U,) are the values of single users, means over seeds.
    """

    mean: float
    draws: NDArray[np.float64] | None = None
    error: float | None = None
    users: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Contrast:
    """One difference: above minus below, its 95 % interval, and its two-sided p, corrected by Holm."""

    above: Place
    below: Place
    difference: float
    low: float
    high: float
    p: float

    @property
    def decided(self) -> Literal[-1, 0, 1]:
        """1: above is higher; -1: it is lower; 0: they cannot be told apart."""
        if self.p > ALPHA:
            return 0
        return 1 if self.difference > 0 else -1


@dataclass(frozen=True)
class Judged:
    """A claim, the verdict, and the differences that were measured."""

    claim: Claim
    verdict: Verdict
    contrasts: Sequence[Contrast]


def judge(claims: Sequence[Claim], found: Mapping[Place, Estimate]) -> list[Judged]:
    """Decide every claim from what was measured.

    All differences of all claims are one family: their p are corrected together. A claim holds when all its
    differences are there and significant as it says, fails when one is significant the other way round, and
    is undecided otherwise, or when some of its places were not measured.

    References
    ----------
    Holm, Scandinavian Journal of Statistics 6 (1979).

    """
    pairs = list(dict.fromkeys(pair for claim in claims for pair in claim.above))
    known = {pair: _contrast(*pair, found) for pair in pairs if pair[0] in found and pair[1] in found}
    corrected = holm({f"{a} > {b}": contrast.p for (a, b), contrast in known.items()})
    done = {(a, b): replace(contrast, p=corrected[f"{a} > {b}"]) for (a, b), contrast in known.items()}
    return [_judged(claim, [done[pair] for pair in claim.above if pair in done]) for claim in claims]


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


def _contrast(above: Place, below: Place, found: Mapping[Place, Estimate]) -> Contrast:
    a, b = found[above], found[below]
    difference = a.mean - b.mean
    if a.draws is not None and b.draws is not None:
        drawn = a.draws - b.draws
        low, high = interval(drawn)
        return Contrast(above, below, difference, low, high, paired(difference, drawn))
    error = float(np.hypot(_error(a), _error(b)))
    p = erfc(abs(difference / error) / sqrt(2)) if error > 0 else 1.0
    return Contrast(above, below, difference, difference - 1.96 * error, difference + 1.96 * error, p)


def _error(estimate: Estimate) -> float:
    if estimate.draws is not None:
        return float(estimate.draws.std())
    return estimate.error or 0.0


def pairs(above: str | Iterable[str], below: str | Iterable[str], column: str) -> list[tuple[Place, Place]]:
    """Return the pairs (a, b) of places in one column, for each a of `above` and b of `below` but itself."""
    first = [above] if isinstance(above, str) else list(above)
    second = [below] if isinstance(below, str) else list(below)
    return [(Place(a, column), Place(b, column)) for a in first for b in second if a != b]
