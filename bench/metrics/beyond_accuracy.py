"""Beyond accuracy: how popular, novel, varied and widely spread the recommended items are.

Every function takes top-k lists (U, k) of item indexes and ignores -1 (no item). A value that
cannot be computed for a user, such as the diversity of a list with one item, is undefined: it is excluded
from the mean and counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.metric import Metric, table
from bench.norms import squarable

_BLOCK = 32 << 20
"""Maximum bytes of vectors in memory at a time."""


class Rows(Protocol):
    """Compressed sparse rows, such as `bench.protocols.Interactions`."""

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Row pointers (n_rows + 1,)."""
        ...

    @property
    def item(self) -> NDArray[np.int32]:
        """Item indexes."""
        ...


@dataclass(frozen=True, eq=False)
class PerUser:
    """One value per user (U,); NaN where undefined, so that a plain mean shows that values are missing."""

    values: NDArray[np.float64]

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Mask (U,) of users with a value."""
        return ~np.isnan(self.values)

    @property
    def undefined(self) -> int:
        """Number of users without a value."""
        return int(np.isnan(self.values).sum())

    @property
    def mean(self) -> float | None:
        """Mean over users with a value; None if there are none."""
        kept = self.values[self.defined]
        return float(kept.mean()) if len(kept) else None


def coverage(topk: NDArray[np.int32], candidates: NDArray[np.bool_]) -> float:
    """Return the share of the candidates (mask (N,) over items) that are recommended to at least one user."""
    return float((_counts(topk, candidates) > 0).mean())


def gini(topk: NDArray[np.int32], candidates: NDArray[np.bool_]) -> float | None:
    """Return the Gini index of recommendation counts x over all candidates, including those never recommended.

    ``sum_i (2 i - n - 1) x_i / (n sum x)``, x ascending, i = 1..n: 0 when all are recommended equally
    often, near 1 when all recommendations are one item. None when nothing is recommended.
    """
    x = np.sort(_counts(topk, candidates)).astype(np.float64)
    if x[-1] == 0:
        return None
    n = len(x)
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))


def arp(topk: NDArray[np.int32], listeners: NDArray[np.integer], n_users: int) -> PerUser:
    """Return the mean popularity of each list, as a share of users.

    `listeners` (N,) is the number of training users of each item, `n_users` that of all training users.
    """
    return _mean(topk, listeners / n_users)


def lift(topk: NDArray[np.int32], listeners: NDArray[np.integer], profile: Rows, users: NDArray[np.integer]) -> PerUser:
    """Return the popularity lift: mean popularity of the list divided by that of the user's training items, minus 1.

    0 means as popular as the user's items, 1 twice as popular. `users` (U,) gives each list's row of
    `profile`. Undefined for users without training items.
    """
    indptr, users = profile.indptr, np.asarray(users)
    total = np.concatenate([[0], np.cumsum(listeners[profile.item], dtype=np.int64)])
    plays = total[indptr[users + 1]] - total[indptr[users]]
    size = indptr[users + 1] - indptr[users]
    own = np.where(plays > 0, plays / np.maximum(size, 1), np.nan)
    return PerUser(_mean(topk, listeners.astype(np.float64)).values / own - 1)


def novelty(topk: NDArray[np.int32], listeners: NDArray[np.integer], n_users: int) -> PerUser:
    """Return the mean -log2 p in bits; p is the share of users who know the item, or 1 / (users + 1) without any."""
    share = np.where(listeners > 0, listeners / n_users, 1 / (n_users + 1))
    return _mean(topk, -np.log2(share))


def ild(topk: NDArray[np.int32], reference: NDArray[np.float32], present: NDArray[np.bool_] | None = None) -> PerUser:
    """Return intra-list diversity: mean of 1 - cosine over all pairs of the list, in a fixed space (N, D).

    Do not use the space by which the model recommends. Items that are not `present` (N,), or whose
    vector is zero, are left out; undefined for lists with fewer than two vectors.

    Raises
    ------
    BenchError
        When a used vector contains NaN or infinity.

    """
    users, k = topk.shape
    values = np.full(users, np.nan)
    rows = max(1, _BLOCK // max(1, 4 * k * reference.shape[1]))
    for start in range(0, users, rows):
        block = topk[start : start + rows]
        known = block >= 0 if present is None else (block >= 0) & present[block]
        vectors = reference[np.where(known, block, 0)].astype(np.float32, copy=False)
        vectors[~known] = 0
        vectors = squarable(vectors)
        norm = np.sqrt(np.einsum("ukd,ukd->uk", vectors, vectors))
        if not np.isfinite(norm).all():
            bad = int(block[~np.isfinite(norm)][0])
            raise BenchError(f"the reference vector of item {bad} is not finite: mend or mark it as missing")
        weight = np.divide(1, norm, out=np.zeros_like(norm), where=norm > 0)
        centre = np.einsum("ukd,uk->ud", vectors, weight).astype(np.float64)
        n = (weight > 0).sum(axis=1)
        # For unit vectors |sum v|^2 = n + 2 * (sum of cosines over pairs).
        pairs = n * (n - 1)
        cosine = np.einsum("ud,ud->u", centre, centre) - n
        # Rounding can give -1e-7 for a list of equal vectors.
        apart = np.maximum(pairs - cosine, 0)
        np.divide(apart, pairs, out=values[start : start + rows], where=pairs > 0)
    return PerUser(values)


def artist_entropy(topk: NDArray[np.int32], artists: NDArray[np.integer]) -> PerUser:
    """Return the Shannon entropy in bits of the artists in each list: 0 for one artist, log2 k for k artists.

    `artists` (N,) are codes from 0; -1 means unknown and is excluded.
    """
    artist = np.where(topk >= 0, artists[topk], -1)
    rows, places = np.nonzero(artist >= 0)
    width = int(artists.max(initial=0)) + 1
    keys, times = np.unique(rows * np.int64(width) + artist[rows, places], return_counts=True)
    owner = keys // width
    n = np.bincount(owner, weights=times, minlength=len(topk))
    inner = np.bincount(owner, weights=times * np.log2(times), minlength=len(topk))
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = np.log2(n) - inner / n
    # Rounding can give -1e-16 for a single artist.
    return PerUser(np.where(n > 0, np.maximum(entropy, 0), np.nan))


@dataclass(frozen=True, eq=False, kw_only=True)
class Lists:
    """Top-k lists of some users, and the data from which their metrics are computed."""

    topk: NDArray[np.int32]
    """Item indexes (U, K), best first, -1 for no item."""
    candidates: NDArray[np.bool_]
    """Mask (N,) of items that could be recommended."""
    listeners: NDArray[np.integer]
    """Number of training users of each item (N,)."""
    profile: Rows
    """Training items, one row per training user."""
    users: NDArray[np.integer]
    """Row of `profile` for each list (U,)."""
    artists: NDArray[np.integer] | None = None
    """Artist code of each item (N,), -1 for unknown; None skips the artist entropy."""
    references: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Fixed embedding spaces (N, D) by name, for `ild`."""

    @property
    def n_users(self) -> int:
        """Number of training users."""
        return len(self.profile.indptr) - 1


@dataclass(frozen=True, kw_only=True)
class BeyondMetric(Metric):
    """A metric of the lists alone, without held-out items."""

    function: Callable[[Lists], Mapping[str, PerUser | float | None]]
    """Maps lists to values by label; the label is empty unless there are several values, such as one per space."""


BEYOND = table(
    BeyondMetric(
        "coverage",
        "Coverage",
        "share of the candidates that are recommended to anybody",
        function=lambda lists: {"": coverage(lists.topk, lists.candidates)},
    ),
    BeyondMetric(
        "gini",
        "Gini",
        "inequality of how often candidates are recommended: 0 all alike, near 1 one takes everything",
        higher_is_better=False,
        function=lambda lists: {"": gini(lists.topk, lists.candidates)},
    ),
    BeyondMetric(
        "arp",
        "ARP",
        "mean popularity of the recommended tracks, as a share of training users",
        higher_is_better=None,
        function=lambda lists: {"": arp(lists.topk, lists.listeners, lists.n_users)},
    ),
    BeyondMetric(
        "lift",
        "Popularity lift",
        "popularity of the list over that of the user's own history, minus 1: 0 is as mainstream",
        range=(-1.0, math.inf),
        higher_is_better=None,
        function=lambda lists: {"": lift(lists.topk, lists.listeners, lists.profile, lists.users)},
    ),
    BeyondMetric(
        "novelty",
        "Novelty",
        "mean surprise, -log2 of the share of users who know a recommended track, in bits",
        range=(0.0, math.inf),
        higher_is_better=None,
        function=lambda lists: {"": novelty(lists.topk, lists.listeners, lists.n_users)},
    ),
    BeyondMetric(
        "artist_entropy",
        "Artist entropy",
        "variety of artists in a list, in bits: 0 for a single artist",
        range=(0.0, math.inf),
        function=lambda lists: {} if lists.artists is None else {"": artist_entropy(lists.topk, lists.artists)},
    ),
    BeyondMetric(
        "ild",
        "ILD",
        "mean cosine distance between the tracks of a list, in the named fixed space",
        range=(0.0, 2.0),
        version="2",
        function=lambda lists: {name: ild(lists.topk, space) for name, space in lists.references.items()},
    ),
)
"""All metrics of this module by name, in record order."""


def evaluate_beyond(lists: Lists, ks: Iterable[int]) -> dict[str, PerUser | float | None]:
    """Return every metric of `BEYOND` at each k: ``gini@10`` is one number, ``ild:mfcc@10`` has one per user.

    Raises
    ------
    ValueError
        For a k outside 1..K, or no candidates.

    """
    out: dict[str, PerUser | float | None] = {}
    for k in ks:
        if not 1 <= k <= lists.topk.shape[1]:
            raise ValueError(f"k = {k} is outside 1..{lists.topk.shape[1]}, the length of the lists")
        cut = replace(lists, topk=lists.topk[:, :k])
        for name, metric in BEYOND.items():
            for label, value in metric.function(cut).items():
                out[f"{name}:{label}@{k}" if label else f"{name}@{k}"] = value
    return out


def _counts(topk: NDArray[np.int32], candidates: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count how often each candidate is recommended (n_candidates,)."""
    if not candidates.any():
        raise ValueError("there are no candidates")
    counts: NDArray[np.int64] = np.bincount(topk[topk >= 0], minlength=len(candidates))[candidates]
    return counts


def _mean(topk: NDArray[np.int32], value: NDArray[np.float64]) -> PerUser:
    """Average a value per item (N,) over each list."""
    known = topk >= 0
    n = known.sum(axis=1)
    total = np.where(known, value[topk], 0.0).sum(axis=1)
    return PerUser(np.divide(total, n, out=np.full(len(topk), np.nan), where=n > 0))
