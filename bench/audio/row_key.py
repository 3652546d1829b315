"""Keys of catalogue rows: they depend on the bytes of a file and the section of it, but not on its path."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import polars as pl

from bench.errors import TrackError


def row_key(sha256: str, offset: float | None, duration: float | None) -> str:
    """Return the sha256 (64 hex digits) of the text ``<sha256 of the file>:<offset>:<duration>``.

    Offset and duration are seconds, formatted by ``repr(float)``. No offset is ``0.0``, because it is the same
    audio; no duration (to the end) is an empty string.
    """
    return hashlib.sha256(f"{sha256}{_section(offset, duration)}".encode()).hexdigest()


@lru_cache(256)
def _section(offset: float | None, duration: float | None) -> str:
    start = repr(float(offset or 0.0) + 0.0)
    length = "" if duration is None else repr(float(duration))
    return f":{start}:{length}"


def row_keys(rows: pl.DataFrame, hashes: Sequence[str | TrackError]) -> list[str | TrackError]:
    """Return `row_key` for N catalogue rows with offset and duration; errors in `hashes` are returned unchanged."""
    parts = zip(hashes, rows["offset"].to_list(), rows["duration"].to_list(), strict=True)
    return [row_key(known, *place) if isinstance(known, str) else known for known, *place in parts]
