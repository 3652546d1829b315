"""Which shards hold the bytes that their names promise; each state of a file is hashed once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.files.hash_index import HashIndex

State = tuple[int, int, int]
"""Size in bytes, time of the last change in nanoseconds, inode."""


class Verified:
    """Compares shards with the sha256 in their names.

    A process remembers the state in which it has found a file; from one process to the next the index of hashes
    does, so that a store is hashed when it is first read, and afterwards only what has changed.
    """

    def __init__(self, index: HashIndex):
        self._index = index
        self._found: dict[Path, tuple[State, bool]] = {}

    def sound(self, paths: Sequence[Path]) -> list[Path]:
        """Return those of `paths` that are there and have the hash in their names."""
        states = {path: state for path in paths if (state := _state(path)) is not None}
        new = [path for path, state in states.items() if self._found.get(path, (None,))[0] != state]
        if new:
            hashes = self._index.hashes([os.path.abspath(path) for path in new])
            for path, sha256 in zip(new, hashes, strict=True):
                self._found[path] = states[path], path.stem.rpartition("-")[2] == sha256
        return [path for path in states if self._found[path][1]]


def _state(path: Path) -> State | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
