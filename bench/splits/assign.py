"""Which pairs are held out: by date, by item, or by their place in a user's history."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.splits.pairs import Pairs, Survey
from bench.splits.settings import SplitSettings
from bench.splits.temporal import Bounds, GlobalTemporal
from bench.splits.untimed import ColdRandom, LeaveLastOut

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


Mask = NDArray[np.bool_]


class Halves:
    """Which users, and which cold items, belong to validation.

    Users are drawn as scikit-learn's ``train_test_split(ids, test_size=1 - valid_share, random_state=seed)``
    draws them from the ascending ids of users with hot pairs, which gives the published halves for seed 42;
    users with cold pairs alone and cold items are drawn afterwards. NumPy keeps RandomState's numbers
    frozen, unlike those of newer generators.
    """

    def __init__(self, settings: GlobalTemporal, pairs: Pairs, log: Survey, held: Mask, cold: Mask) -> None:
        draw = np.random.RandomState(settings.seed)
        rank = _ascending(log.users)
        warm = _unique(pairs.user[held & ~cold], rank)
        rest = np.setdiff1d(pairs.user[held & cold], warm)
        self.valid_users = np.zeros(len(log.users), dtype=bool)
        drawn = [warm, rest[np.argsort(rank[rest])]]
        if settings.cold_users == "test":
            drawn = [warm[~np.isin(warm, pairs.user[held & cold])]]
        for users in drawn:
            # Rounded first, so that 0.3 of 10 is 3 although 1 - 0.7 is a little more than 0.3.
            tests = int(np.ceil(round((1 - settings.valid_share) * len(users), 6)))
            self.valid_users[users[draw.permutation(len(users))[tests:]]] = True
        items = np.unique(pairs.item[held & cold])
        valid = int(np.floor(settings.cold_valid * len(items) + 0.5))
        self.valid_items = np.zeros(len(log.items), dtype=bool)
        self.valid_items[items[draw.permutation(len(items))[:valid]]] = True


def _ascending(ids: pl.Series) -> NDArray[np.int64]:
    """Rank (N,) of text ids sorted as text: by number when every one is a number, else as they stand."""
    rank = np.arange(len(ids), dtype=np.int64)
    if ids.str.contains(r"^\d{1,18}$").all():
        rank[np.argsort(ids.cast(pl.Int64).to_numpy(), kind="stable")] = np.arange(len(ids))
    return rank


def _unique(codes: NDArray[np.int32], rank: NDArray[np.int64]) -> NDArray[np.int32]:
    codes = np.unique(codes)
    return codes[np.argsort(rank[codes])]
