"""What a comparison can detect: the smallest difference, and the listeners, items and seeds that a difference needs.

Everything follows from the variance of a difference (`Components`), never from the difference that was observed:
the power at the observed difference only restates its p value (Hoenig and Heisey, The abuse of power, 2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from bench.stats.components import Components, Part

POWER = 0.8
"""Probability with which a difference should be detected."""

_MOST = 1 << 40
"""Number of listeners, clusters or seeds that counts as infinitely many."""


class Needed(NamedTuple):
    """How many listeners, clusters of items or seeds detect a difference while the other two stay as they are.

    None means that no number suffices, because the variance of the others alone is too large.
    """

    listeners: int | None
    clusters: int | None
    seeds: int | None


def smallest_detectable(components: Components, *, alpha: float = 0.05, power: float = POWER) -> float | None:
    """Return the true difference that a two-sided t test at level alpha finds with probability `power`.

    The power comes from the noncentral t distribution; the chance of a significant difference of the wrong sign is
    left out. Reports correct alpha for several comparisons (alpha / comparisons: the first step of Holm's procedure).
    None if the variance is unknown or 0, or has less than one degree of freedom: the difference would be huge.

    References
    ----------
    Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), chapter 2.

    """
    if components.df < 1 or not components.variance:  # far below 1, nctdtrinc never returns
        return None
    from scipy.special import nctdtrinc, ndtri, stdtrit

    error, df = math.sqrt(components.variance), components.df
    if df > 1e6:
        return error * float(ndtri(1 - alpha / 2) + ndtri(power))
    return error * float(nctdtrinc(df, 1 - power, stdtrit(df, 1 - alpha / 2)))


def needed(components: Components, difference: float, *, alpha: float = 0.05, power: float = POWER) -> Needed:
    """Return how many listeners, clusters of items, or seeds detect a true difference with probability `power`.

    More listeners divide the variance over listeners and over pairs, more clusters that over clusters and over pairs.
    A component that does not vary, such as the seed of a model that draws no random numbers, needs no more than it has.

    Raises
    ------
    ValueError
        For a difference that is not positive.

    """
    if not difference > 0:
        raise ValueError(f"the difference to detect must be positive, not {difference}")
    parts = {"listeners": components.listeners, "clusters": components.clusters, "seeds": components.seeds}

    def enough(name: str, n: int) -> bool:
        least = smallest_detectable(_planned(components, **{name: n}), alpha=alpha, power=power)
        return least is not None and least <= difference

    return Needed(*(_least(name, part, enough) for name, part in parts.items()))


def _least(name: str, part: Part, enough: Callable[[str, int], bool]) -> int | None:
    """Return the smallest number of a component that is enough, by doubling and halving."""
    if not part.variance or part.n < 2:
        return part.n if enough(name, part.n) else None
    high = 2
    while not enough(name, high):
        high *= 2
        if high > _MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(name, middle) else (middle, high)
    return high


def _planned(
    components: Components, *, listeners: int | None = None, clusters: int | None = None, seeds: int | None = None
) -> Components:
    """Return the components as they would be with other numbers of listeners, clusters or seeds."""
    one, other, pairs = components.listeners, components.clusters, components.pairs
    shared = min(pairs.variance, one.variance, other.variance)
    more, wider = (listeners or one.n) / one.n, (clusters or other.n) / other.n
    left = shared / (more * wider)
    return replace(
        components,
        listeners=_scaled(one, more, (one.variance - shared) / more + left),
        clusters=_scaled(other, wider, (other.variance - shared) / wider + left),
        pairs=_scaled(pairs, more * wider, left),
        seeds=_scaled(
            components.seeds, k := (seeds or components.seeds.n) / components.seeds.n, components.seeds.variance / k
        ),
    )


def _scaled(part: Part, by: float, variance: float) -> Part:
    """Return a part of so many times its number; its degrees of freedom grow as its number less 1."""
    df = part.df * (part.n * by - 1) / (part.n - 1) if part.n > 1 else part.df
    return Part(variance, df, round(part.n * by))
