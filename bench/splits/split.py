"""A split of a listening log: its pairs, and the arrays that models and metrics use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    """Training pairs in CSR format: the items of user u are ``item[indptr[u]:indptr[u + 1]]``, ascending."""

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]


class Truth(NamedTuple):
    """Held-out pairs in CSR format over `users` (B,), ascending; each user has at least one pair.

    The items of ``users[b]`` are ``item[indptr[b]:indptr[b + 1]]``, ascending.
    """

    users: NDArray[np.int32]
    indptr: NDArray[np.int64]
    item: NDArray[np.int32]


class Coded(NamedTuple):
    """A column of ids (P,) as codes: row p is ``ids[codes[p]]``; `ids` are sorted as text, and each one occurs."""

    ids: pl.Series
    codes: NDArray[np.int64]

    @staticmethod
    def of(column: pl.Series) -> Coded:
        """Encode a column of text."""
        ids = column.unique().sort()
        return Coded(ids, column.cast(pl.Enum(ids)).to_physical().cast(pl.Int64).to_numpy())

    @staticmethod
    def among(ids: pl.Series, codes: NDArray[np.int64]) -> Coded:
        """Drop the `ids` (sorted) that do not occur in `codes` and renumber the codes."""
        occurs = np.zeros(len(ids), dtype=bool)
        occurs[codes] = True
        return Coded(ids.filter(pl.Series(occurs)), (np.cumsum(occurs) - 1)[codes])


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test pairs of a log; the methods return indices into `users` and `items`.

    `pairs` (user, item: str; first, last: s since 1970; count; part; cold) has one row per pair, sorted by
    user, first play and item. `last` and `count` cover only plays of the pair's own part, so that training
    pairs contain nothing from later. `cold`: the item does not occur in training. `settings` are resolved:
    all dates are filled in. `counts` has the users, items, pairs and plays of each part, and what was left out
    for which reason.
    """

    pairs: pl.DataFrame
    settings: SplitSettings
    counts: Mapping[str, Any]
    fingerprint: str
    plays: Plays | None = None
    """All training plays, if `bench.splits.sequences.with_plays` has read them."""

    @staticmethod
    def of(
        pairs: pl.DataFrame,
        settings: SplitSettings,
        counts: Mapping[str, Any],
        fingerprint: str,
        coded: Mapping[str, Coded],
    ) -> Split:
        """Make a split whose ids are encoded already; see `coded`."""
        split = Split(pairs, settings, counts, fingerprint)
        split.__dict__["coded"] = coded  # fills the cached property
        return split

    @cached_property
    def users(self) -> list[str]:
        """Ids (n_users,) of the users with training pairs, sorted as text."""
        user = self.coded["user"]
        return user.ids.gather(np.flatnonzero(self._trains)).to_list()

    @cached_property
    def items(self) -> list[str]:
        """Ids (n_items,) of training items and of cold items in validation and test, sorted as text."""
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
        """Training and validation pairs together, sorted by user, first play and item.

        Where `plays` are there, they are followed by the first plays of validation pairs.
        """
        known = self._interactions(self._part != _number("test"))
        return known if self.plays is None else replace(known, plays=self._with_first_plays(self.plays))

    @property
    def known_at_test(self) -> Interactions:
        """What is known of the users when the test is ranked: training, and validation where the settings say so."""
        return self.before_test if self.settings.validation_is_known else self.train

    def history(self) -> History:
        """Return the training items of every user, ascending; rankings leave them out."""
        return self._history

    def truth(self, part: Part, which: Which) -> Truth:
        """Return the held-out pairs of a part with hot items, cold items, or both ("mixed"); found once, read-only."""
        if (part, which) not in self._truths:
            found = self._truths[part, which] = self._truth(part, which)
            for array in found:
                array.setflags(write=False)
        return self._truths[part, which]

    def candidates(self, part: Part, which: Which) -> NDArray[np.bool_]:
        """Return which items (n_items,) may be recommended: hot items, the part's cold items, or both ("mixed").

        Cold items of validation are not candidates in test, and those of test not in validation.
        """
        mask = np.zeros(len(self.items), dtype=bool) if which == "cold" else self.hot.copy()
        if which != "hot":
            mask[self.truth(part, "cold").item] = True
        return mask

    def _truth(self, part: Part, which: Which) -> Truth:
        rows = self._part == _number(part)
        if which != "mixed":
            rows &= self._cold == (which == "cold")
        user, item = (codes[rows] for codes in self._codes)
        order = np.lexsort((item, user))
        users, starts = np.unique(user[order], return_index=True)
        indptr = np.append(starts, len(user)).astype(np.int64)
        return Truth(users, indptr, item[order])

    def _interactions(self, rows: NDArray[np.bool_], plays: Plays | None = None) -> Interactions:
        user, item = (codes[rows] for codes in self._codes)
        first, last, count = (self.pairs[name].to_numpy()[rows] for name in ("first", "last", "count"))
        return Interactions(user, item, first, last, count, len(self.users), len(self.items), plays)

    def _with_first_plays(self, plays: Plays) -> Plays:
        held = self.held_out
        user, item = np.concatenate([plays.user, held.user]), np.concatenate([plays.item, held.item])
        time = np.concatenate([plays.time, held.first])
        order = np.lexsort((item, time, user))
        return Plays(user[order], item[order], time[order])

    @cached_property
    def _history(self) -> History:
        train = self.train
        order = np.lexsort((train.item, train.user))
        return History(train.indptr, train.item[order])

    @cached_property
    def _truths(self) -> dict[tuple[Part, Which], Truth]:
        """The results of `truth` so far."""
        return {}

    @cached_property
    def _part(self) -> NDArray[np.uint8]:
        return self.pairs["part"].to_physical().cast(pl.UInt8).to_numpy()

    @cached_property
    def _cold(self) -> NDArray[np.bool_]:
        return self.pairs["cold"].to_numpy()

    @cached_property
    def coded(self) -> Mapping[str, Coded]:
        """The columns user and item of `pairs` as codes."""
        return {name: Coded.of(self.pairs[name]) for name in ("user", "item")}

    @cached_property
    def _trains(self) -> NDArray[np.bool_]:
        """Which users in `pairs` have training pairs."""
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
    """Return the sha256 (hex) of pairs and resolved settings; it does not depend on library versions."""
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
