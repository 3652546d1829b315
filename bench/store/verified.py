"""Which shards, and which layers in them, hold the bytes that were written; each state of a file is hashed once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from bench.files.hash_index import RACY_NS, HashIndex, Stamp


class Verified:
    """The hashes of files and of their parts, with the state of the file in which each was computed.

    A process remembers what it has hashed; from one process to the next the index of hashes does. So a layer is
    hashed when it is first read, and again only when its file has changed.
    """

    def __init__(self, index: HashIndex):
        self._index = index
        self._found: dict[str, tuple[Stamp, str]] = {}
        self._new: list[tuple[str, Stamp, str]] = []

    def recall(self, names: Iterable[str]) -> None:
        """Look up, in one query, what earlier processes have found about `names`."""
        if new := [name for name in names if name not in self._found]:
            self._found |= self._index.recall(new)

    def holds(self, name: str, stamp: Stamp, expected: str, sha256: Callable[[], str]) -> bool:
        """Whether the hash of `name`, whose file is in the state `stamp`, is as expected; `sha256` computes it."""
        known = self._found.get(name)
        if known is not None and known[0] == stamp:
            return known[1] == expected
        settled = stamp[1] < time.time_ns() - RACY_NS
        found = sha256()
        self._found[name] = stamp, found
        if settled or found != expected:
            self._new.append((name, stamp, found))
        return found == expected

    def condemn(self, name: str, stamp: Stamp) -> None:
        """Remember that a file is damaged, in this state, because one of its parts is."""
        self._found[name] = stamp, ""
        self._new.append((name, stamp, ""))

    def condemned(self, name: str, stamp: Stamp) -> bool:
        """Whether `condemn` was called with the same arguments, perhaps by an earlier process."""
        return self._found.get(name) == (stamp, "")

    def save(self) -> None:
        """Store what was found, for the processes that follow."""
        if self._new:
            self._index.remember(self._new)
            self._new = []
