"""The file of rows beside a record: whether it is the one that was written with it, before any row is read."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from bench.files.hash_index import Stamp, sha256_once, stamp_of
from bench.records.record import Record


def trouble(file: Path, record: Record) -> str | None:
    """Say why a file is not that of a record's rows; None where it is.

    The number of rows is compared first, from the footer alone, so that a foreign file of any size is refused
    before it is read; then the hash. A record of version 1 names neither: its file must have a row for every
    user of every candidate set.
    """
    try:
        status = os.stat(file)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file"
    if record.rows is None and record.schema_version > 1:
        return "its record was written without rows"
    expected = record.rows.count if record.rows else sum(record.users.values())
    found = _rows(file, stamp_of(status))
    if not isinstance(found, int):
        return found
    if found != expected:
        return f"it has {found:,} rows, its record {expected:,}"
    if record.rows and sha256_once(file) != record.rows.sha256:
        return "it is not the file that was written with its record: it has another hash"
    return None


@lru_cache(4096)
def _rows(file: Path, state: Stamp) -> int | str:
    """Return the number of rows that a Parquet file's footer names, or why there is none.

    Asked once for all candidate sets, as long as the file's state is the same; so is its hash.
    """
    import polars as pl

    try:
        return int(pl.scan_parquet(file).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        return f"it cannot be read ({error})"
