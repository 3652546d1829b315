"""Keys of what is heard: a piece of a file with known bytes, wherever the file lies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import polars as pl

from bench.errors import TrackError


def row_key(sha256: str, offset: float | None, duration: float | None) -> str:
    """Key of what is heard: sha256 (64 hex digits) of the text ``<sha256 of the file>:<offset>:<duration>``.

    Offset and duration are seconds, spelled as Python spells a float; no offset is ``0.0``, for it is
    the same sound; no duration (to the end) is the empty text.
    """
    start = repr(float(offset or 0.0) + 0.0)
    length = "" if duration is None else repr(float(duration))
    return hashlib.sha256(f"{sha256}:{start}:{length}".encode()).hexdigest()


def row_keys(rows: pl.DataFrame, hashes: Sequence[str | TrackError]) -> list[str | TrackError]:
    """Return `row_key` for catalogue rows (N, with offset and duration); failures pass through."""
    parts = zip(hashes, rows["offset"].to_list(), rows["duration"].to_list(), strict=True)
    return [row_key(known, *place) if isinstance(known, str) else known for known, *place in parts]
