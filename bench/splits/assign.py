"""Assign pairs to training, validation and test.

Random draws use `numpy.random.RandomState`, whose numbers are the same in every version of NumPy.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.splits.pairs import LogSummary, Pairs
from bench.splits.settings import SplitSettings
from bench.splits.temporal import Bounds, GlobalTemporal
from bench.splits.untimed import ColdRandom, LeaveLastOut

TRAIN, VALID, TEST = range(3)

Mask = NDArray[np.bool_]


def assign_parts(pairs: Pairs, settings: SplitSettings, bounds: Bounds) -> NDArray[np.int8]:
    """Return the part (P,) of every pair: TRAIN, VALID or TEST, before any pair is removed."""
    if isinstance(settings, ColdRandom):
        return _by_item(pairs, settings)
    if isinstance(settings, LeaveLastOut):
        return _by_position(pairs, settings)
    held_out = np.where(pairs.first < bounds.cut, VALID, TEST)
    return np.where(pairs.first < bounds.trained, TRAIN, held_out).astype(np.int8)


def draw_validation(
    settings: GlobalTemporal, pairs: Pairs, log: LogSummary, held_out: Mask, cold: Mask
) -> tuple[Mask, Mask]:
    """Return which users (n_users,) and which cold items (n_items,) of the log belong to validation.

    `held_out` and `cold` (P,) select pairs. Users with hot pairs are drawn from their ascending ids as
    scikit-learn's ``train_test_split(ids, test_size=1 - valid_share, random_state=seed)`` draws them, which
    reproduces the published split for seed 42. Users with cold pairs only, and cold items, are drawn afterwards.
    """
    draw = np.random.RandomState(settings.seed)
    rank = _ascending(log.users)
    with_hot = np.unique(pairs.user[held_out & ~cold])
    with_cold = np.unique(pairs.user[held_out & cold])
    groups = [with_hot, np.setdiff1d(with_cold, with_hot)]
    if settings.cold_users == "test":
        groups = [np.setdiff1d(with_hot, with_cold)]
    users = np.zeros(len(log.users), dtype=bool)
    for group in groups:
        group = group[np.argsort(rank[group])]
        # Rounded first, so that 0.3 of 10 is 3 although 1 - 0.7 is slightly more than 0.3.
        n_test = int(np.ceil(round((1 - settings.valid_share) * len(group), 6)))
        users[group[draw.permutation(len(group))[n_test:]]] = True
    cold_items = np.unique(pairs.item[held_out & cold])
    n_valid = int(np.floor(settings.cold_valid * len(cold_items) + 0.5))
    items = np.zeros(len(log.items), dtype=bool)
    items[cold_items[draw.permutation(len(cold_items))[:n_valid]]] = True
    return users, items


def _ascending(ids: pl.Series) -> NDArray[np.int64]:
    """Rank (N,) of ids that are sorted as text: as numbers if all of them are numbers, otherwise unchanged."""
    rank = np.arange(len(ids), dtype=np.int64)
    if ids.str.contains(r"^\d{1,18}$").all():
        rank[np.argsort(ids.cast(pl.Int64).to_numpy(), kind="stable")] = np.arange(len(ids))
    return rank


def _by_item(pairs: Pairs, settings: ColdRandom) -> NDArray[np.int8]:
    """Take the folds from a random order of the items."""
    items = np.unique(pairs.item)
    order = items[np.random.RandomState(settings.seed).permutation(len(items))]
    # Rounded first, so that 0.3 of 10 is 3 in spite of binary fractions.
    edges = np.round(np.arange(settings.folds + 1) * settings.share * len(items), 6).astype(np.int64)
    part_of = np.full(int(items.max(initial=-1)) + 1, TRAIN, dtype=np.int8)
    for part, fold in ((VALID, settings.fold % settings.folds), (TEST, settings.fold - 1)):
        part_of[order[edges[fold] : edges[fold + 1]]] = part
    return part_of[pairs.item]


def _by_position(pairs: Pairs, settings: LeaveLastOut) -> NDArray[np.int8]:
    """Test the last pair of each user with three pairs or more, validate on the one before it."""
    order = np.lexsort((pairs.item, pairs.first, pairs.user))
    user = pairs.user[order]
    counts = np.bincount(user) if len(user) else np.empty(0, dtype=np.int64)
    from_end = np.cumsum(counts)[user] - 1 - np.arange(len(user))
    long_enough = counts[user] >= 3
    part = np.full(len(user), TRAIN, dtype=np.int8)
    part[order[long_enough & (from_end == 0)]] = TEST
    if settings.valid == "pair":
        part[order[long_enough & (from_end == 1)]] = VALID
    return part
