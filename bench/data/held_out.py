"""Which pairs are held out: by date, by item, or by their place in a user's history."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.collapse import Pairs
from bench.data.kinds import SplitSettings
from bench.data.temporal import Bounds
from bench.data.untimed import ColdRandom, LeaveLastOut

TRAIN, VALID, TEST = range(3)


def assigned(pairs: Pairs, settings: SplitSettings, bounds: Bounds) -> NDArray[np.int8]:
    """Part (P,) of every pair before any has to leave."""
    if isinstance(settings, ColdRandom):
        return _by_item(pairs, settings)
    if isinstance(settings, LeaveLastOut):
        return _by_place(pairs, settings)
    later = np.where(pairs.first < bounds.cut, VALID, TEST)
    return np.where(pairs.first < bounds.trained, TRAIN, later).astype(np.int8)


def _by_item(pairs: Pairs, settings: ColdRandom) -> NDArray[np.int8]:
    """Cut the folds off a random order of the items; NumPy keeps RandomState's numbers frozen."""
    items = np.unique(pairs.item)
    order = items[np.random.RandomState(settings.seed).permutation(len(items))]
    # Rounded first, so that 0.3 of 10 is 3 whatever becomes of 0.3 in binary.
    edges = np.round(np.arange(settings.folds + 1) * settings.share * len(items), 6).astype(np.int64)
    part_of = np.full(int(items.max(initial=-1)) + 1, TRAIN, dtype=np.int8)
    for part, fold in ((VALID, settings.fold % settings.folds), (TEST, settings.fold - 1)):
        part_of[order[edges[fold] : edges[fold + 1]]] = part
    return part_of[pairs.item]


def _by_place(pairs: Pairs, settings: LeaveLastOut) -> NDArray[np.int8]:
    """Number every user's pairs from the last one back."""
    order = np.lexsort((pairs.item, pairs.first, pairs.user))
    user = pairs.user[order]
    number = np.bincount(user) if len(user) else np.empty(0, dtype=np.int64)
    back = np.cumsum(number)[user] - 1 - np.arange(len(user))
    long = number[user] >= 3
    part = np.full(len(user), TRAIN, dtype=np.int8)
    part[order[long & (back == 0)]] = TEST
    if settings.valid == "pair":
        part[order[long & (back == 1)]] = VALID
    return part
