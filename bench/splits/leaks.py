"""Check a split for leaks from held-out pairs into training, and measure its overlap with training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.listening.times import iso
from bench.splits.near_duplicates import NearDuplicates, near_duplicates
from bench.splits.overlap import overlap, overlap_warnings
from bench.splits.split import Split
from bench.splits.temporal import GlobalTemporal
from bench.splits.untimed import ColdRandom, LeaveLastOut
from bench.text import counted

__all__ = ["Leaks", "NearDuplicates", "assert_sound", "check", "near_duplicates"]

SHOWN = 5
"""Offending rows in a message."""

LISTENERS = 20
"""Fewer test users than this are worth a warning: hardly any difference will be significant."""

FEW = 100
"""Fewer cold test pairs than this are worth a warning: confidence intervals will be wide."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Leaks:
    """The results of `check`: `errors` stop a run, `warnings` are printed, `numbers` go into the record.

    An error names the rule and up to five rows that break it (user, item, first play). Shares refer to test
    pairs whose artist (and title) is known; None if there is no such pair.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    numbers: Mapping[str, float | int | None] = field(default_factory=dict)


def check(split: Split, meta: pl.DataFrame | None = None) -> Leaks:
    """Check the pairs of a split against the rules of its kind.

    With `meta` (track_id and, if known, artist and title), `numbers` contains the artist overlap, the share
    of test pairs whose artist the user has in training, which can dominate content-based scores, and the
    title overlap, the same for artist and title together: the same recording under two ids.
    """
    errors = [
        f"{rule}: {counted(number, 'pair')} ({_shown(split.pairs, rows)})"
        for rule, rows in _rules(split).items()
        if (number := int(rows.sum()))
    ]
    numbers = {} if meta is None else overlap(split, meta)
    return Leaks(tuple(errors), (*_warnings(split), *overlap_warnings(numbers)), numbers)


def assert_sound(split: Split, meta: pl.DataFrame | None = None) -> Leaks:
    """Return the results of `check`, or raise an error if a rule is broken.

    Raises
    ------
    BenchError
        A rule is broken. The message names each such rule and up to five rows that break it.

    """
    found = check(split, meta)
    if found.errors:
        raise BenchError("the split leaks: " + "; ".join(found.errors))
    return found


def _rules(split: Split) -> dict[str, Mask]:
    """Return for each rule which rows (P,) break it, computed from the pairs without the properties of `Split`."""
    pairs, bounds = split.pairs, split.settings.bounds()
    user, item = split.coded["user"].codes, split.coded["item"].codes
    first, last, count = (pairs[name].to_numpy() for name in ("first", "last", "count"))
    cold = pairs["cold"].to_numpy()
    train, valid, test = ((pairs["part"] == part).to_numpy() for part in ("train", "valid", "test"))
    held = valid | test
    by_user, by_item = _spread(user), _spread(item)
    trains, hot = by_user(train), by_item(train)
    key = user * (int(item.max(initial=0)) + 1) + item
    rules = {
        "a pair twice (in training and held out, or twice in one part)": _repeated(key),
        "a held-out user who does not train": held & ~trains,
        "a cold item in training": cold & hot,
        "a hot held-out item that does not occur in training": held & ~cold & ~hot,
        "a play outside the window": (first < bounds.start) | (np.maximum(first, last) >= bounds.end),
        "a last play before the first": last < first,
        "a count below one": count < 1,
        "rows out of order (user, first play, item)": _unordered(user, first, item),
    }
    if not isinstance(split.settings, LeaveLastOut):
        rules["a cold item in both validation and test"] = held & by_item(valid & cold) & by_item(test & cold)
    if isinstance(split.settings, GlobalTemporal):
        latest = np.maximum(first, last)
        rules["a training play at or after the end of training"] = train & (latest >= bounds.trained)
        rules["a held-out first play within training"] = held & (first < bounds.trained)
        rules["a test pair first played before the cut"] = test & (first < bounds.cut)
        if split.settings.valid == "users":
            rules["a user in both validation and test"] = held & by_user(valid) & by_user(test)
        else:
            rules["a validation play at or after the cut"] = valid & (latest >= bounds.cut)
    if isinstance(split.settings, ColdRandom):
        rules["a held-out item that trains"] = held & hot
    if isinstance(split.settings, LeaveLastOut):
        rules["a held-out pair before a training pair of its user"] = _early(user, train, held)
    return rules


def _spread(codes: NDArray[np.int64]) -> Callable[[Mask], Mask]:
    """Return a function that extends a selection of rows to all rows with the same codes."""
    size = int(codes.max(initial=-1)) + 1

    def spread(rows: Mask) -> Mask:
        selected = np.zeros(size, dtype=bool)
        selected[codes[rows]] = True
        return selected[codes]

    return spread


def _early(user: NDArray[np.int64], train: Mask, held: Mask) -> Mask:
    """Held-out rows before a training row of the same user; rows are sorted by user."""
    last = np.full(int(user.max(initial=-1)) + 1, -1)
    rows = np.arange(len(user))
    last[user[train]] = rows[train]
    return held & (rows < last[user])


def _repeated(key: NDArray[np.int64]) -> Mask:
    """Rows whose key occurs more than once; sorting is the cheaper test when there are none, the usual case."""
    ordered = np.sort(key)
    if not (ordered[1:] == ordered[:-1]).any():
        return np.zeros(len(key), dtype=bool)
    return pl.Series(key).is_duplicated().to_numpy()


def _unordered(*keys: NDArray[np.int64]) -> Mask:
    """Rows that sort before the previous row, compared key by key."""
    after = np.zeros(max(len(keys[0]) - 1, 0), dtype=bool)
    same = np.ones_like(after)
    for key in keys:
        after |= same & (key[1:] < key[:-1])
        same &= key[1:] == key[:-1]
    return np.concatenate([np.zeros(len(keys[0]) - len(after), dtype=bool), after])


def _shown(pairs: pl.DataFrame, rows: Mask) -> str:
    found = pairs[np.flatnonzero(rows)[:SHOWN]].select("user", "item", "first").rows()
    text = ", ".join(f"user {user!r} item {item!r} {iso(first)}" for user, item, first in found)
    return text + (", ..." if rows.sum() > SHOWN else "")


def _warnings(split: Split) -> list[str]:
    """Properties of a split that are allowed but worth a warning."""
    pairs, found = split.pairs, [*split.counts.get("outlying", ()), *split.settings.caveats()]
    tested = pairs.filter(pl.col("part") == "test")["user"].n_unique()
    if tested < LISTENERS:
        found.append(f"only {counted(tested, 'listener')} in test: hardly any difference between rows can be told")
    parts = dict(pairs.group_by("part").len().iter_rows())
    if not parts.get("valid"):
        found.append("no validation pairs: early stopping has nothing to look at")
    cold = pairs.filter((pl.col("part") == "test") & pl.col("cold"))
    if 0 < cold.height < FEW:
        found.append(f"only {cold.height} cold test pairs of {cold['item'].n_unique()} items: intervals will be wide")
    items = split.coded["item"].ids
    stripped = items.str.strip_chars()
    if (similar := items.filter(stripped.is_duplicated())).len():
        shown = ", ".join(map(repr, similar.head(SHOWN)))
        found.append(f"{similar.len()} item ids differ only by blanks around them ({shown})")
    return found
