"""Beyond accuracy: how popular, novel, varied and widely spread the recommended items are.

Every function takes top-k lists (U, k) of item indexes and ignores -1 (no item). What cannot be
computed for a user, such as the variety of a list with one item, is undefined: it is left out of the
mean and counted, never scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

_BLOCK = 32 << 20
"""Bytes of vectors gathered at a time."""


class Rows(Protocol):
    """Compressed rows, such as `bench.protocols.Interactions`."""

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
    """One value per user (U,); NaN where it is undefined, so that a careless mean cannot hide it."""

    values: NDArray[np.float64]

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Which users (U,) have a value."""
        return ~np.isnan(self.values)

    @property
    def undefined(self) -> int:
        """How many users are left out."""
        return int(np.isnan(self.values).sum())

    @property
    def mean(self) -> float | None:
        """Mean over the users who have a value; None when nobody has."""
        kept = self.values[self.defined]
        return float(kept.mean()) if len(kept) else None


def coverage(topk: NDArray[np.int32], candidates: NDArray[np.bool_]) -> float:
    """Distinct recommended items over all candidates (N,)."""
    return float((_counts(topk, candidates) > 0).mean())


def gini(topk: NDArray[np.int32], candidates: NDArray[np.bool_]) -> float | None:
    """Inequality of recommendation counts x over all candidates, those never recommended included.

    ``sum_i (2 i - n - 1) x_i / (n sum x)``, x ascending, i = 1..n: 0 when all are recommended equally
    often, near 1 when one item takes everything. None when nothing is recommended.
    """
    x = np.sort(_counts(topk, candidates)).astype(np.float64)
    if x[-1] == 0:
        return None
    n = len(x)
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))


def arp(topk: NDArray[np.int32], listeners: NDArray[np.integer], n_users: int) -> PerUser:
    """Mean popularity of the list, as a share of users.

    `listeners` (N,) counts the training users of each item, `n_users` all training users.
    """
    return _mean(topk, listeners / n_users)


def lift(topk: NDArray[np.int32], listeners: NDArray[np.integer], profile: Rows, users: NDArray[np.integer]) -> PerUser:
    """Popularity lift: mean popularity of the list over that of the user's own training items, minus 1.

    0: as mainstream as the user; 1: twice as popular. `users` (U,) names the row of `profile` of each
    list. Undefined for users without training items.
    """
    indptr, users = profile.indptr, np.asarray(users)
    total = np.concatenate([[0], np.cumsum(listeners[profile.item], dtype=np.int64)])
    plays = total[indptr[users + 1]] - total[indptr[users]]
    size = indptr[users + 1] - indptr[users]
    own = np.where(plays > 0, plays / np.maximum(size, 1), np.nan)
    return PerUser(_mean(topk, listeners.astype(np.float64)).values / own - 1)


def novelty(topk: NDArray[np.int32], listeners: NDArray[np.integer], n_users: int) -> PerUser:
    """Mean surprise -log2 p in bits, p the share of users who know the item; 1 / (users + 1) if nobody."""
    share = np.where(listeners > 0, listeners / n_users, 1 / (n_users + 1))
    return _mean(topk, -np.log2(share))


def ild(topk: NDArray[np.int32], reference: NDArray[np.float32], present: NDArray[np.bool_] | None = None) -> PerUser:
    """Intra-list diversity: mean of 1 - cosine over all pairs of the list, in a fixed space (N, D).

    The space must not be the one the model recommends by. Items that are not `present` (N,), or whose
    vector is zero, are left out; undefined for lists with fewer than two vectors.

    Raises
    ------
    BenchError
        When a vector that is needed holds NaN or infinity.

    """
    users, k = topk.shape
    values = np.full(users, np.nan)
    rows = max(1, _BLOCK // max(1, 4 * k * reference.shape[1]))
    for start in range(0, users, rows):
        block = topk[start : start + rows]
        known = block >= 0 if present is None else (block >= 0) & present[block]
        vectors = reference[np.where(known, block, 0)].astype(np.float32, copy=False)
        vectors[~known] = 0
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
        # Rounding may leave -1e-7 for a list of equal vectors.
        apart = np.maximum(pairs - cosine, 0)
        np.divide(apart, pairs, out=values[start : start + rows], where=pairs > 0)
    return PerUser(values)


def artist_entropy(topk: NDArray[np.int32], artists: NDArray[np.integer]) -> PerUser:
    """Shannon entropy, in bits, of the artists in the list: 0 for one artist, log2 k for k of them.

    `artists` (N,) are codes from 0, -1 for unknown, which is left out.
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
    # Rounding may leave -1e-16 for a single artist.
    return PerUser(np.where(n > 0, np.maximum(entropy, 0), np.nan))


def evaluate_beyond(
    topk: NDArray[np.int32],
    ks: Iterable[int],
    *,
    candidates: NDArray[np.bool_],
    listeners: NDArray[np.integer],
    profile: Rows,
    users: NDArray[np.integer],
    artists: NDArray[np.integer] | None = None,
    references: Mapping[str, NDArray[np.float32]] | None = None,
) -> dict[str, PerUser | float | None]:
    """Return every value of this module at each k.

    One number each: ``coverage@10``, ``gini@10``; one per user: ``arp@10``, ``lift@10``, ``novelty@10``,
    ``artist_entropy@10``, ``ild:NAME@10``.

    Parameters
    ----------
    topk
        Item indexes (U, K), best first, -1 where there is none.
    ks
        List lengths, each in 1..K.
    candidates
        Which items (N,) could be recommended.
    listeners
        Training users of each item (N,).
    profile, users
        Training items in rows, one row per training user, and the row of each list (U,).
    artists
        Artist code of each item (N,), -1 unknown; None leaves the entropy out.
    references
        Fixed spaces (N, D) by name, for `ild`.

    """
    n_users = len(profile.indptr) - 1
    out: dict[str, PerUser | float | None] = {}
    for k in ks:
        if not 1 <= k <= topk.shape[1]:
            raise ValueError(f"k = {k} is outside 1..{topk.shape[1]}, the length of the lists")
        cut = topk[:, :k]
        out[f"coverage@{k}"] = coverage(cut, candidates)
        out[f"gini@{k}"] = gini(cut, candidates)
        out[f"arp@{k}"] = arp(cut, listeners, n_users)
        out[f"lift@{k}"] = lift(cut, listeners, profile, users)
        out[f"novelty@{k}"] = novelty(cut, listeners, n_users)
        if artists is not None:
            out[f"artist_entropy@{k}"] = artist_entropy(cut, artists)
        for name, reference in (references or {}).items():
            out[f"ild:{name}@{k}"] = ild(cut, reference)
    return out


def _counts(topk: NDArray[np.int32], candidates: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How often each candidate is recommended (n_candidates,)."""
    if not candidates.any():
        raise ValueError("there are no candidates")
    counts: NDArray[np.int64] = np.bincount(topk[topk >= 0], minlength=len(candidates))[candidates]
    return counts


def _mean(topk: NDArray[np.int32], value: NDArray[np.float64]) -> PerUser:
    """Mean of a value per item (N,) over each list."""
    known = topk >= 0
    n = known.sum(axis=1)
    total = np.where(known, value[topk], 0.0).sum(axis=1)
    return PerUser(np.divide(total, n, out=np.full(len(topk), np.nan), where=n > 0))
