"""The held-out pairs of a row, listener by item, in one order for all rows of a candidate set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.metrics.from_ranks import credits_of, hits_of
from bench.metrics.truth import Ranked
from bench.records.ranks import HeldOut
from bench.report.format import parts
from bench.stats import PairScores, item_clusters, pair_weights

_MADE = 4
"""Number of layouts that are remembered."""

_BYTES = 32 << 20
"""Maximum bytes of scores that are remembered."""


@dataclass(frozen=True, eq=False)
class Ordered:
    """The held-out pairs of one record on one candidate set, sorted by the names of listener and item.

    key : hash of the pairs and their artists
    names : names of listeners, items and artists, each sorted
    listener, item, artist : index into the names (P,) of each pair, artists -1 where unknown
    rank : ranks (P,)
    """

    key: str
    names: tuple[pl.Series, pl.Series, pl.Series]
    listener: NDArray[np.int64]
    item: NDArray[np.int32]
    artist: NDArray[np.int32]
    rank: NDArray[np.int32]

    @classmethod
    def of(cls, held: HeldOut) -> Ordered:
        """Sort the pairs, which records sort by rank: their order is that of every model."""
        order = held.listeners.arg_sort().to_numpy()
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        listener = place[held.listener]
        pairs = np.argsort(listener * (len(held.items) + 1) + held.item)
        names = held.listeners.gather(order), held.items, held.artists
        codes = listener[pairs], held.item[pairs], held.artist[pairs]
        key = hashlib.sha256("\1".join("\0".join(each.to_list()) for each in names).encode())
        for each in codes:
            key.update(each.tobytes())
        return cls(key.hexdigest(), names, *codes, held.rank[pairs])


@dataclass(frozen=True, eq=False)
class Layout:
    """What rows with the same held-out pairs share: P pairs, those of several folds one after the other.

    indptr : the pairs of each listener of each fold
    pairs : their weights and groups, with values of 0
    """

    indptr: NDArray[np.int64]
    pairs: PairScores

    @classmethod
    def of(cls, folds: Sequence[Ordered]) -> Layout:
        """Return the layout of some folds; the same names are the same listeners, items and artists in all of them."""
        codes = [
            _common([one.names[at] for one in folds], [(one.listener, one.item, one.artist)[at] for one in folds])
            for at in range(3)
        ]
        listener, item, artist = codes
        fold = np.repeat(np.arange(len(folds)), [len(one.rank) for one in folds])
        new = np.flatnonzero((np.diff(listener, prepend=-1) != 0) | (np.diff(fold, prepend=-1) != 0))
        values, weight = np.zeros((1, len(listener))), pair_weights(listener, fold)
        return cls(np.append(new, len(listener)), PairScores(values, weight, listener, item_clusters(artist, item)))


@dataclass(frozen=True, eq=False)
class Pairs:
    """The ranks (S, P) of a row by seed and pair; rows with equal `key` have the same pairs in the same order."""

    key: str
    layout: Layout
    rank: NDArray[np.int32]

    def scores(self, metric: str) -> PairScores:
        """Return the values of the pairs in a metric such as ``ndcg@10``."""
        return _KEPT.scores(self, metric)

    def _scores(self, metric: str) -> PairScores:
        name, k = parts(metric)
        n = self.rank.shape[1]
        return self.layout.pairs.of(np.stack([credits_of(name, k, *hits, n) for hits in _hits(self, k)]))


@dataclass(frozen=True, eq=False)
class _Ranks:
    indptr: NDArray[np.int64]
    rank: NDArray[np.int32]


@lru_cache(2)
def _hits(pairs: Pairs, k: int) -> list[tuple[Ranked, NDArray[np.intp]]]:
    """Return the hits of each seed, which the metrics at k share."""
    return [hits_of(_Ranks(pairs.layout.indptr, each), k) for each in pairs.rank]


class _Kept:
    """The scores that were asked for last, such as those of the best row, with which all others are compared."""

    def __init__(self) -> None:
        self._found: dict[tuple[Pairs, str], PairScores] = {}
        self._bytes = 0

    def scores(self, pairs: Pairs, metric: str) -> PairScores:
        key = pairs, metric
        found = self._found.pop(key, None)
        if found is None:
            found = pairs._scores(metric)
            self._bytes += _size(found)
        self._found[key] = found
        while self._bytes > _BYTES:
            self._bytes -= _size(self._found.pop(next(iter(self._found))))
        return found


def _size(scores: PairScores) -> int:
    """Return the bytes of values, and of their means over seeds and by listener."""
    return scores.values.nbytes + 2 * 8 * len(scores.weight)


_KEPT = _Kept()


@dataclass
class Layouts:
    """Layouts that were made last."""

    _made: dict[str, Layout] = field(default_factory=dict)

    def pairs(self, folds: Sequence[Sequence[Ordered]]) -> Pairs | None:
        """Return the pairs of some folds of some seeds; None if the seeds of a fold have different pairs."""
        if any(len({one.key for one in seeds}) > 1 for seeds in folds):
            return None
        key = "+".join(seeds[0].key for seeds in folds)
        if key not in self._made:
            made = Layout.of([seeds[0] for seeds in folds])
            self._made = {**dict(list(self._made.items())[-_MADE + 1 :]), key: made}
        rank = np.concatenate([np.stack([one.rank for one in seeds]) for seeds in folds], axis=1)
        return Pairs(key, self._made[key], rank)


def _common(names: Sequence[pl.Series], codes: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    """Return codes of several lists of names as one array of codes of all names; -1 stays."""
    if len(names) == 1:
        return codes[0].astype(np.int64)
    every = pl.concat(names).unique().sort()
    places = [np.append(every.search_sorted(each).to_numpy(), -1) for each in names]
    return np.concatenate([place[code] for place, code in zip(places, codes, strict=True)]).astype(np.int64)
