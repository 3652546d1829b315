"""Judge the claims of a paper twice: with our results, by tests with Holm's correction, and with its printed means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import erfc, sqrt
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.report.controls import ALPHA
from bench.report.evidence import MARGIN
from bench.stats import LEAST_USERS, holm, interval, paired_test

_ROUNDING = 1e-9
"""Tolerance for sums of printed decimals."""

Kind = Literal["order", "significant order", "no difference"]
Verdict = Literal["held", "failed", "equivalent", "not told apart", "undecided", "not measured"]
Printed = Literal["agrees", "contradicted", "not decidable", "not printed"]


class Place(NamedTuple):
    """A cell of a paper's tables: a row (an embedding) and a column (a recommender or task), by printed names."""

    row: str
    column: str

    def __str__(self) -> str:
        """Return a short name for tables."""
        return f"{self.row}, {self.column}"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, in our wording, and the comparisons that it consists of.

    parts : pairs of cells; the second is the reference
    kind : "order" if each first cell is claimed to have a higher value, "significant order" if the paper calls the
        difference significant, "no difference" if it says that the cells perform alike
    factor : for a claimed ratio: the first value is at least this many times the second
    """

    key: str
    text: str
    section: str
    parts: Sequence[tuple[Place, Place]]
    kind: Kind = "order"
    factor: float = 1.0


@dataclass(frozen=True, eq=False)
class Estimate:
    """A measured value with its uncertainty.

    `draws` (resamples,) are the values for resampled users (and seeds); all cells are resampled together, so
    that differences are paired. If there are no draws, `error` is the standard error. `users` (S, U) are the
    values of individual users by seed: if both places have them, their difference is tested. `gain` is the
    difference from the same embedding with shuffled rows.
    """

    mean: float
    draws: NDArray[np.float64] | None = None
    error: float | None = None
    users: NDArray[np.float64] | None = None
    gain: float | None = None


@dataclass(frozen=True)
class Contrast:
    """The difference above - factor * below, its 95 % interval if there is one, and its two-sided p after Holm.

    `margin` is the largest difference that counts as equivalent; None if the gain over shuffled rows is unknown.
    """

    above: Place
    below: Place
    difference: float
    low: float | None
    high: float | None
    p: float
    margin: float | None

    @property
    def decided(self) -> Literal[-1, 0, 1]:
        """1 if above is significantly higher, -1 if it is significantly lower, otherwise 0."""
        if self.p > ALPHA:
            return 0
        return 1 if self.difference > 0 else -1

    @property
    def equivalent(self) -> bool:
        """Whether the 95 % interval lies within the margin: two one-sided tests, each at 2.5 %."""
        if self.low is None or self.high is None or self.margin is None:
            return False
        return -self.margin < self.low and self.high < self.margin


@dataclass(frozen=True)
class Judged:
    """A claim, its verdict, and the measured differences."""

    claim: Claim
    verdict: Verdict
    contrasts: Sequence[Contrast]

    @property
    def shown(self) -> int:
        """Number of comparisons that came out as claimed."""
        if self.claim.kind == "no difference":
            return sum(contrast.equivalent for contrast in self.contrasts)
        return sum(contrast.decided == 1 for contrast in self.contrasts)

    @property
    def weakest(self) -> Contrast | None:
        """The difference that speaks most against the claim."""
        if self.claim.kind == "no difference":
            return max(self.contrasts, key=lambda c: (abs(c.decided), abs(c.difference)), default=None)
        return min(self.contrasts, key=lambda c: (c.decided, c.difference), default=None)


def judge(claims: Sequence[Claim], found: Mapping[Place, Estimate]) -> list[Judged]:
    """Test all claims with the measured values.

    The p values of all comparisons of all claims are corrected together, as one family. A claim of an order or a ratio
    "held" if all its differences are measured and significant in the claimed direction, and "failed" if one is
    significant in the opposite direction. A claim of no difference "failed" if one difference is significant and not
    equivalent; if all are measured, the verdict is "equivalent" if all are equivalent, and "not told apart" if not. A
    claim is "not measured" if no difference was measured, and otherwise "undecided".

    References
    ----------
    Holm, Scandinavian Journal of Statistics 6 (1979); Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15
    (1987), for equivalence.

    """
    tests = list(dict.fromkeys((*part, claim.factor) for claim in claims for part in claim.parts))
    measured = {test: _contrast(*test, found, len(tests)) for test in tests if test[0] in found and test[1] in found}
    p_values = holm({str(test): contrast.p for test, contrast in measured.items()})
    corrected = {test: replace(contrast, p=p_values[str(test)]) for test, contrast in measured.items()}
    judged = []
    for claim in claims:
        contrasts = [corrected[test] for part in claim.parts if (test := (*part, claim.factor)) in corrected]
        judged.append(Judged(claim, _verdict(claim, contrasts), contrasts))
    return judged


def _verdict(claim: Claim, contrasts: Sequence[Contrast]) -> Verdict:
    whole = len(contrasts) == len(claim.parts)
    if not contrasts:
        return "not measured"
    if claim.kind == "no difference":
        if any(contrast.decided and not contrast.equivalent for contrast in contrasts):
            return "failed"
        if not whole or any(contrast.low is None for contrast in contrasts):
            return "undecided"
        return "equivalent" if all(contrast.equivalent for contrast in contrasts) else "not told apart"
    signs = [contrast.decided for contrast in contrasts]
    if -1 in signs:
        return "failed"
    return "held" if whole and all(signs) else "undecided"


def judge_printed(claim: Claim, means: Mapping[Place, float], decimals: int) -> Printed:
    """Compare a claim with the means that the paper itself prints, to so many decimals.

    Means can show an order or a ratio, as far as rounding allows. They can contradict every claim of an order, but not
    decide whether a difference is significant or absent.
    """
    half = 0.5 * 10**-decimals
    known = [(means[a], means[b]) for a, b in claim.parts if a in means and b in means]
    if claim.kind != "no difference" and any(a + half <= claim.factor * (b - half) + _ROUNDING for a, b in known):
        return "contradicted"
    if len(known) < len(claim.parts):
        return "not printed"
    shown = all(a - half >= claim.factor * (b + half) - _ROUNDING for a, b in known)
    return "agrees" if shown and claim.kind == "order" else "not decidable"


def _contrast(above: Place, below: Place, factor: float, found: Mapping[Place, Estimate], comparisons: int) -> Contrast:
    a, b = found[above], found[below]
    gain = a.gain if b.gain is None else b.gain
    if factor != 1:
        b = weighted([(factor, b)])
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
    return Contrast(above, below, difference, low, high, p, None if gain is None else MARGIN * gain)


def _error(estimate: Estimate) -> float:
    if estimate.draws is not None:
        return float(estimate.draws.std())
    return estimate.error or 0.0


def weighted(terms: Sequence[tuple[float, Estimate]]) -> Estimate:
    """Return the weighted sum of estimates; draws and values of users are kept if all of them have the same."""

    def total(arrays: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
        known = [weight * array for (weight, _), array in zip(terms, arrays, strict=True) if array is not None]
        same = len(known) == len(terms) and len({array.shape for array in known}) == 1
        return np.sum(known, axis=0) if same else None

    return Estimate(
        sum(weight * each.mean for weight, each in terms),
        draws=total([each.draws for _, each in terms]),
        error=sqrt(sum((weight * _error(each)) ** 2 for weight, each in terms)),
        users=total([each.users for _, each in terms]),
    )


def pairs(above: str | Iterable[str], below: str | Iterable[str], column: str) -> list[tuple[Place, Place]]:
    """Return the pairs (a, b) of cells in one column, for each a in `above` and b in `below`, except a = b."""
    first = [above] if isinstance(above, str) else list(above)
    second = [below] if isinstance(below, str) else list(below)
    return [(Place(a, column), Place(b, column)) for a in first for b in second if a != b]
