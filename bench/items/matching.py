"""One id written in two ways: how the tracks of a log find their audio, their vectors and their metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.audio.catalog import EXTENSIONS
from bench.text import counted

VERSION = "1"
"""Raise it when other ids can be matched: what was made from matched ids is then made again."""

SHOWN = 3
"""Examples in a message."""

_EXTENSION = rf"(?i)\.({'|'.join(sorted(name[1:] for name in EXTENSIONS))})$"


@dataclass(frozen=True, eq=False)
class Matched:
    """Which of the offered rows each wanted id (N,) found.

    rows : row of the other side, -1 where there is none (N,)
    rules : rule -> which wanted ids it matched (numbers); rules that matched none are absent
    """

    wanted: pl.Series
    offered: pl.Series
    rows: NDArray[np.int64]
    rules: Mapping[str, NDArray[np.int64]]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which wanted ids (N,) have a row."""
        return self.rows >= 0

    @property
    def missing(self) -> pl.Series:
        """The wanted ids without a row."""
        return self.wanted.filter(pl.Series(~self.found))

    @property
    def unused(self) -> pl.Series:
        """The offered ids that no wanted id found."""
        free = np.ones(len(self.offered), np.bool_)
        free[self.rows[self.found]] = False
        return self.offered.filter(pl.Series(free))

    def describe(self, what: str, tracks: str, others: str, missing: tuple[int, Sequence[str]] | None = None) -> str:
        """Return a line about both sides with examples; empty when every id of either is found as it is written.

        Parameters
        ----------
        what : what was looked for, such as ``audio``
        tracks, others : what the wanted and the offered ids are ids of
        missing : number and examples of wanted ids that found nothing, where they are not among `wanted`

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
"""The rule of ids that are equal as they are written."""


def match(
    wanted: Sequence[str] | pl.Series, offered: Mapping[str, Sequence[str] | pl.Series], *, exact: bool = False
) -> Matched:
    """Match ids (N,), each at most once, with rows that have an id and perhaps other names.

    `offered` holds the names of the rows by what they are, ids first: ``{"id": ..., "file name": ...}``. Equal names
    come first, the kind that fits most before the others. What is then left on both sides is compared

    1. in one spelling: Unicode NFC, no blanks around, whole numbers without leading zeros and without ``.0``;
    2. so, and without the folders before the name;
    3. so, and without the extension of an audio file.

    Two ids match only where nothing else on either side reads the same under that rule. With `exact` only ids that
    are equal as they are written match: those of both sides are then the same by definition.
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
    """Spell a few ids for a message."""
    return ", ".join(repr(one) for one in ids[:SHOWN])


def last_part(names: pl.Series) -> pl.Series:
    r"""Return what follows the last separator of folders, of POSIX (``/``) or of Windows (``\``)."""
    return names.str.replace(r"(?s)^.*[/\\]", "")


def _rules(ids: pl.Series, kinds: Mapping[str, pl.Series]) -> Iterator[tuple[str, pl.Series, pl.Series]]:
    """Yield each rule with the names it compares, in the order in which they count."""
    order = sorted(kinds, key=lambda kind: -len(_pairs(ids, kinds[kind])[0]))
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
    """Return the rows of names that occur once on either side."""
    sides = [pl.DataFrame({"name": names}).with_row_index(row) for row, names in (("at", mine), ("to", theirs))]
    once = [side.filter(pl.col("name").is_unique() & (pl.col("name") != "")) for side in sides]
    found = once[0].join(once[1], on="name", how="inner", maintain_order="left")
    return found["at"].to_numpy().astype(np.int64), found["to"].to_numpy().astype(np.int64)


def _spelled(names: pl.Series) -> pl.Series:
    return names.str.normalize("NFC").str.strip_chars().str.replace(r"^0*([0-9]+)(?:\.0+)?$", "${1}")
