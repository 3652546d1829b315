"""A split of a listening log: its pairs, and the arrays that models and metrics take from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.files.atomic import canonical_json
from bench.protocols import Interactions, Plays
from bench.splits.settings import SplitSettings

Part = Literal["valid", "test"]
Which = Literal["hot", "cold", "mixed"]

PARTS = pl.Enum(["train", "valid", "test"])
SCHEMA: Mapping[str, pl.DataType] = {
    "user": pl.String(),
    "item": pl.String(),
    "first": pl.Int64(),
    "last": pl.Int64(),
    "count": pl.Int32(),
    "part": PARTS,
    "cold": pl.Boolean(),
}


class History(NamedTuple):
    """Training pairs as CSR: the items of user u are ``item[indptr[u]:indptr[u + 1]]``, ascending."""

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]


class Truth(NamedTuple):
    """Held-out pairs as CSR over `users` (B,), ascending; each has at least one pair.

    The items of ``users[b]`` are ``item[indptr[b]:indptr[b + 1]]``, ascending.
    """

    users: NDArray[np.int32]
    indptr: NDArray[np.int64]
    item: NDArray[np.int32]


class Coded(NamedTuple):
    """A column of ids (P,) as numbers: row p holds ``ids[codes[p]]``; `ids` are sorted as text, each occurs."""

    ids: pl.Series
    codes: NDArray[np.int64]

    @staticmethod
    def of(column: pl.Series) -> Coded:
        """Number a column of text."""
        ids = column.unique().sort()
        return Coded(ids, column.cast(pl.Enum(ids)).to_physical().cast(pl.Int64).to_numpy())

    @staticmethod
    def among(ids: pl.Series, codes: NDArray[np.int64]) -> Coded:
        """Number rows anew that point into sorted `ids`, some of which may not occur."""
        there = np.zeros(len(ids), dtype=bool)
        there[codes] = True
        return Coded(ids.filter(pl.Series(there)), (np.cumsum(there) - 1)[codes])


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test pairs of a log; indices below point into `users` and `items`.

    `pairs` (user, item: str; first, last: s since 1970; count; part; cold) holds one row per pair, sorted
    by user, first play and item. `last` and `count` cover the plays of the pair's own part: those of
    training pairs know nothing of what came later. `cold`: the item does not occur in training.
    `settings` are resolved: every date is filled in. `counts` says how many of what are where and what was
    left out, and why.
    """

    pairs: pl.DataFrame
    settings: SplitSettings
    counts: Mapping[str, Any]
    fingerprint: str
    plays: Plays | None = None
    """Every training play, where `bench.splits.sequences.with_plays` has read them."""

    @staticmethod
    def of(
        pairs: pl.DataFrame,
        settings: SplitSettings,
        counts: Mapping[str, Any],
        fingerprint: str,
        coded: Mapping[str, Coded],
    ) -> Split:
        """Make a split whose ids have been numbered already; see `coded`."""
        split = Split(pairs, settings, counts, fingerprint)
        split.__dict__["coded"] = coded  # what the property would find
        return split

    @cached_property
    def users(self) -> list[str]:
        """Ids (n_users,) of the users who train, sorted as text."""
        user = self.coded["user"]
        return user.ids.gather(np.flatnonzero(self._trains)).to_list()

    @cached_property
    def items(self) -> list[str]:
        """Ids (n_items,) of training items and of the cold items of validation and test, sorted as text."""
        return self.coded["item"].ids.to_list()

    @cached_property
    def hot(self) -> NDArray[np.bool_]:
        """Which items (n_items,) occur in training."""
        mask = np.zeros(len(self.items), dtype=bool)
        mask[self.train.item] = True
        return mask

    @cached_property
    def train(self) -> Interactions:
        """Training pairs, sorted by user, first play and item."""
        return self._interactions(self._part == 0, self.plays)

    @cached_property
    def held_out(self) -> Interactions:
        """Validation pairs, hot and cold, sorted by user, first play and item."""
        return self._interactions(self._part == _number("valid"))

    @cached_property
    def before_test(self) -> Interactions:
        """Training and validation pairs together, sorted by user, first play and item."""
        return self._interactions(self._part != _number("test"))

    def history(self) -> History:
        """Return the training items of every user, ascending: what a ranking leaves out."""
        return self._history

    def truth(self, part: Part, which: Which) -> Truth:
        """Return the held-out pairs of a part: those with hot items, with cold items, or both."""
        rows = self._part == _number(part)
        if which != "mixed":
            rows &= self._cold == (which == "cold")
        user, item = (codes[rows] for codes in self._codes)
        order = np.lexsort((item, user))
        users, starts = np.unique(user[order], return_index=True)
        indptr = np.append(starts, len(user)).astype(np.int64)
        return Truth(users, indptr, item[order])

    def candidates(self, part: Part, which: Which) -> NDArray[np.bool_]:
        """Return which items (n_items,) may be recommended: hot ones, the part's cold ones, or both.

        Cold items of validation are no candidates in test, nor the other way round.
        """
        if which == "hot":
            return self.hot.copy()
        mask = self.hot.copy() if which == "mixed" else np.zeros(len(self.items), dtype=bool)
        mask[self.truth(part, "cold").item] = True
        return mask

    def _interactions(self, rows: NDArray[np.bool_], plays: Plays | None = None) -> Interactions:
        user, item = (codes[rows] for codes in self._codes)
        first, last, count = (self.pairs[name].to_numpy()[rows] for name in ("first", "last", "count"))
        return Interactions(user, item, first, last, count, len(self.users), len(self.items), plays)

    @cached_property
    def _history(self) -> History:
        train = self.train
        order = np.lexsort((train.item, train.user))
        return History(train.indptr, train.item[order])

    @cached_property
    def _part(self) -> NDArray[np.uint8]:
        return self.pairs["part"].to_physical().cast(pl.UInt8).to_numpy()

    @cached_property
    def _cold(self) -> NDArray[np.bool_]:
        return self.pairs["cold"].to_numpy()

    @cached_property
    def coded(self) -> Mapping[str, Coded]:
        """The columns user and item of `pairs` as numbers."""
        return {name: Coded.of(self.pairs[name]) for name in ("user", "item")}

    @cached_property
    def _trains(self) -> NDArray[np.bool_]:
        """Which of all users in `pairs` train."""
        ids, codes = self.coded["user"]
        mask = np.zeros(len(ids), dtype=bool)
        mask[codes[self._part == 0]] = True
        return mask

    @cached_property
    def _codes(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Indices (P,) into `users` and `items`."""
        number = np.where(self._trains, np.cumsum(self._trains) - 1, -1).astype(np.int32)
        return number[self.coded["user"].codes], self.coded["item"].codes.astype(np.int32)


def fingerprint(pairs: pl.DataFrame, settings: SplitSettings, coded: Mapping[str, Coded] | None = None) -> str:
    """sha256 (hex) of pairs and resolved settings, from bytes that no library version can change."""
    sha = hashlib.sha256(canonical_json({"format": 1, "split": settings.canonical()}).encode())
    for name in ("user", "item"):
        ids, codes = Coded.of(pairs[name]) if coded is None else coded[name]
        text = "".join(ids.to_list()).encode()
        sha.update(ids.str.len_bytes().to_numpy().astype("<i8").data)
        sha.update(text)
        sha.update(codes.astype("<u4").data)
    for name, kind in (("first", "<i8"), ("last", "<i8"), ("count", "<i4"), ("part", "u1"), ("cold", "u1")):
        sha.update(np.ascontiguousarray(pairs[name].to_physical().to_numpy(), dtype=kind).data)
    return sha.hexdigest()


def _number(part: Part) -> int:
    return PARTS.categories.to_list().index(part)
