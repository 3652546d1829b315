"""A metric as a weighted mean over held-out pairs of a listener and an item, which `two_way` takes apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Groups:
    """The pairs by a code: what their variance needs besides values, so that all metrics share it.

    code : group of each pair (P,), from 0 without gaps
    n : number of groups
    left : share (n,) of the variance of each group's effect that is left in its residual
    square, df : sum of the squared weights of the groups, and degrees of freedom for effects of equal variance
    """

    code: NDArray[np.int64]
    n: int
    left: NDArray[np.float64]
    square: float
    df: float

    @classmethod
    def of(cls, code: NDArray[np.integer], weight: NDArray[np.float64]) -> Groups:
        """Group pairs of these weights (P,) by a code (P,)."""
        groups = np.unique(code, return_inverse=True)[1].astype(np.int64, copy=False)
        w: NDArray[np.float64] = np.bincount(groups, weight).astype(np.float64, copy=False)
        n, square = len(w), float(w @ w)
        left: NDArray[np.float64] = 1 - 2 * w + square
        if n < 2 or left.min() <= 0:
            return cls(groups, n, left, square, 0.0)
        # Let e be the residuals of independent group effects of variance 1, with covariance [g = h] + square - w_g -
        # w_h. The estimate sum(c e^2) has mean `square` and variance 2 sum(c_g c_h covariance^2), here multiplied out.
        c = w**2 / left
        c0, c1, c2 = float(c.sum()), float(c @ w), float(c @ w**2)
        spread = square**2 * c0**2 + 2 * c0 * c2 - 4 * square * c0 * c1 + 2 * c1**2
        spread += float(c**2 @ (1 + 2 * (square - 2 * w)))
        return cls(groups, n, left, square, square**2 / spread)


@dataclass(frozen=True, eq=False)
class PairScores:
    """A metric as a weighted mean over P held-out pairs (listener, item), for each of S training seeds.

    values : (S, P); ``values @ weight`` is the metric of each seed
    weight : (P,), not negative, sums to 1; `pair_weights` gives those of a per-listener metric
    listener : (P,) codes from 0
    cluster : (P,) codes from 0, usually the artist of the item; `item_clusters` gives them

    Raises
    ------
    ValueError
        For arrays that do not fit together, no pair, values that are not finite, or weights that do not sum to 1.

    """

    values: NDArray[np.float64]
    weight: NDArray[np.float64]
    listener: NDArray[np.integer]
    cluster: NDArray[np.integer]

    def __post_init__(self) -> None:
        """Refuse arrays that do not describe the same pairs."""
        pairs = self.weight.shape
        shapes = [np.shape(each) for each in (self.values, self.weight, self.listener, self.cluster)]
        if shapes[0][1:] != pairs or len(pairs) != 1 or not all(shapes[0]) or {pairs, *shapes[2:]} != {pairs}:
            raise ValueError(f"expected values by seed and pair, and one entry per pair of the others, got {shapes}")
        if not np.isfinite(self.values).all():
            raise ValueError("values that are not finite: leave the pairs concerned out, and say so")
        if self.weight.min() < 0 or abs(self.weight.sum() - 1) > 1e-6:
            raise ValueError(f"weights must not be negative and must sum to 1, not to {self.weight.sum()}")

    def of(self, values: NDArray[np.float64]) -> PairScores:
        """Return other values (S, P) of the same pairs, which share their groups."""
        other = replace(self, values=values)
        other.__dict__["groups"] = self.groups
        return other

    @cached_property
    def by_seed(self) -> NDArray[np.float64]:
        """The metric of each seed (S,)."""
        return np.asarray(self.values @ self.weight, np.float64)

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Mean over seeds of each pair (P,)."""
        return np.asarray(self.values.mean(axis=0), np.float64)

    @cached_property
    def by_listener(self) -> NDArray[np.float64]:
        """What each listener adds to the metric, times their number, so that the mean is the metric."""
        groups = self.groups["listener"]
        return np.asarray(np.bincount(groups.code, self.weight * self.mean) * groups.n, np.float64)

    @cached_property
    def groups(self) -> Mapping[str, Groups]:
        """The pairs by ``listener``, by ``cluster``, and by ``cell``, a listener and a cluster."""
        return _Groups(self)

    @classmethod
    def of_listeners(cls, values: NDArray[np.float64]) -> PairScores:
        """Return scores of values by seed and listener (S, U), for intervals that take the items as given."""
        n = values.shape[1]
        return cls(values, np.full(n, 1 / n), np.arange(n), np.arange(n))


class _Groups(dict[str, Groups]):
    """The groups that were asked for."""

    def __init__(self, scores: PairScores) -> None:
        super().__init__()
        self.weight, self.listener, self.cluster = scores.weight, scores.listener, scores.cluster

    def __missing__(self, key: str) -> Groups:
        code: NDArray[np.integer]
        if key == "cell":
            code = self["listener"].code * self["cluster"].n + self["cluster"].code
        else:
            code = self.listener if key == "listener" else self.cluster
        self[key] = found = Groups.of(code, self.weight)
        return found


def pair_weights(listener: NDArray[np.integer], fold: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
    """Return the weights (P,) of a per-listener metric: 1 / (folds x listeners of the fold x pairs of the listener).

    Parameters
    ----------
    listener
        Code of the listener of each pair (P,), from 0.
    fold
        Code of the fold of each pair (P,), from 0; None for a single fold.

    """
    if fold is None:
        fold = np.zeros(len(listener), np.int64)
    key = fold * (int(listener.max(initial=0)) + 1) + listener.astype(np.int64)
    _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    _, of_fold, listeners = np.unique(fold[first], return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(listeners) * listeners[of_fold] * counts)[inverse], np.float64)


def item_clusters(artist: NDArray[np.integer], item: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the clusters (P,) of items: their artists (codes from 0), or the item itself where the artist is -1."""
    named = int(artist.max(initial=-1)) + 1
    return np.where(artist >= 0, artist, named + item.astype(np.int64))
