"""Match the ids of a log with those of audio, vectors and metadata, also where they are written differently."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.audio.catalog import EXTENSIONS
from bench.text import counted

VERSION = "1"
"""Raise it when the rules of `match` change: splits and records made from matched ids are then made again."""

SHOWN = 3
"""Examples in a message."""

_EXTENSION = rf"(?i)\.({'|'.join(sorted(name[1:] for name in EXTENSIONS))})$"


@dataclass(frozen=True, eq=False)
class Matched:
    """The row that each wanted id has in a table.

    wanted : the wanted ids (N,)
    offered : the ids of the table
    rows : row of each wanted id in the table (N,), -1 if there is none
    rules : rule -> positions of the wanted ids that it matched; rules without a match are absent
    """

    wanted: pl.Series
    offered: pl.Series
    rows: NDArray[np.int64]
    rules: Mapping[str, NDArray[np.int64]]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Whether each wanted id (N,) has a row."""
        return self.rows >= 0

    @property
    def complete(self) -> bool:
        """Whether every wanted id is in the table as it is written."""
        return bool(self.found.all()) and not set(self.rules) - {AS_WRITTEN}

    @property
    def missing(self) -> pl.Series:
        """The wanted ids without a row."""
        return self.wanted.filter(pl.Series(~self.found))

    @property
    def unused(self) -> pl.Series:
        """The ids of the table that match no wanted id."""
        free = np.ones(len(self.offered), np.bool_)
        free[self.rows[self.found]] = False
        return self.offered.filter(pl.Series(free))

    def describe(self, what: str, tracks: str, others: str, missing: tuple[int, Sequence[str]] | None = None) -> str:
        """Return a line about both sides with examples, or an empty text if both have exactly the same ids.

        Parameters
        ----------
        what : begins the line, such as ``audio``
        tracks : what a wanted id stands for, in the singular
        others : what a row of the table is, in the singular
        missing : number and examples of unmatched ids that `wanted` does not contain; None: `wanted` contains all

        """
        lost = (len(self.missing), self.missing.head(SHOWN).to_list()) if missing is None else missing
        total = len(self.wanted) + (lost[0] if missing is not None else 0)
        parts = []
        for rule, which in self.rules.items():
            mine, theirs = self.wanted[int(which[0])], self.offered[int(self.rows[which[0]])]
            if rule != AS_WRITTEN:
                parts.append(f"{len(which)} by {rule} ({mine!r} = {theirs!r})")
        if lost[0]:
            parts.append(f"{lost[0]} not found ({examples(lost[1])})")
        if len(self.unused):
            unused = examples(self.unused.head(SHOWN).to_list())
            parts.append(f"{len(self.unused)} of {counted(len(self.offered), others)} not used ({unused})")
        head = f"{what}: {int(self.found.sum())} of {counted(total, tracks)} found"
        return "; ".join([head, *parts]) if parts else ""


AS_WRITTEN = "id"
"""The rule for equal ids, and the name of the ids among the names of a row."""


def match(
    wanted: Sequence[str] | pl.Series, offered: Mapping[str, Sequence[str] | pl.Series], *, exact: bool = False
) -> Matched:
    """Match distinct ids (N,) with the rows of a table; each row is used at most once.

    `offered` maps kinds of names to the names of the rows: first ``id``, then other kinds such as ``file name``. Equal
    names are matched first, beginning with the kind that has most matches. The rest is compared after normalisation:

    1. Unicode NFC, without surrounding blanks; whole numbers without leading zeros and without ``.0``;
    2. also without folders;
    3. also without the extension of an audio file.

    A rule matches two names only if no other name on either side has the same normalised form. With `exact`, only equal
    ids match.
    """
    ids = pl.Series(wanted, dtype=pl.String)
    kinds = {kind: pl.Series(names, dtype=pl.String) for kind, names in offered.items()}
    first = next(iter(kinds.values()))
    rows = np.full(len(ids), -1, np.int64)
    used = np.zeros(len(first), np.bool_)
    rules: dict[str, NDArray[np.int64]] = {}
    for rule, mine, theirs in _rules(ids, kinds):
        if (rows >= 0).all() or used.all() or (exact and rule != AS_WRITTEN):
            break
        at, to = _pairs(mine, theirs)
        free = (rows[at] < 0) & ~used[to]
        at, to = at[free], to[free]
        rows[at], used[to] = to, True
        if len(at):
            rules[rule] = at
    return Matched(ids, first, rows, rules)


def examples(ids: Sequence[str]) -> str:
    """Return the first ids, quoted and with commas, for a message."""
    return ", ".join(repr(one) for one in ids[:SHOWN])


def last_part(names: pl.Series) -> pl.Series:
    r"""Return the part of each path after the last ``/`` or ``\``."""
    return names.str.replace(r"(?s)^.*[/\\]", "")


def _rules(ids: pl.Series, kinds: Mapping[str, pl.Series]) -> Iterator[tuple[str, pl.Series, pl.Series]]:
    """Yield each rule with the names to compare, in order of precedence."""
    order = list(kinds)
    if len(order) > 1:
        order.sort(key=lambda kind: -len(_pairs(ids, kinds[kind])[0]))
    for kind in order:
        yield kind, ids, kinds[kind]
    read: Mapping[str, Callable[[pl.Series], pl.Series]] = {
        "spelling": _spelled,
        "name without folders": lambda names: _spelled(last_part(names)),
        "name without folders and extension": lambda names: _spelled(last_part(names).str.replace(_EXTENSION, "")),
    }
    for rule, reading in read.items():
        mine = reading(ids)
        for kind in order:
            yield rule if kind == AS_WRITTEN else f"{rule} of the {kind}", mine, reading(kinds[kind])


def _pairs(mine: pl.Series, theirs: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the names that occur exactly once on both sides."""
    sides = [pl.DataFrame({"name": names}).with_row_index(row) for row, names in (("at", mine), ("to", theirs))]
    once = [side.filter(pl.col("name").is_unique() & (pl.col("name") != "")) for side in sides]
    found = once[0].join(once[1], on="name", how="inner", maintain_order="left")
    return found["at"].to_numpy().astype(np.int64), found["to"].to_numpy().astype(np.int64)


def _spelled(names: pl.Series) -> pl.Series:
    return names.str.normalize("NFC").str.strip_chars().str.replace(r"^0*([0-9]+)(?:\.0+)?$", "${1}")
