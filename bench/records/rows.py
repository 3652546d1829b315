"""Check that the file of rows beside a record belongs to it, before any row is read."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from bench.files.hash_index import Stamp, sha256_once, stamp_of
from bench.records.record import Record


def trouble(file: Path, record: Record) -> str | None:
    """Return why a file does not have a record's rows; None if it does.

    The number of rows in the file's footer is compared first, so that a wrong file of any size is rejected without
    reading it; then the hash. A record of version 1 has neither: its file must have a row for every user of every
    candidate set.
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
    """Return the number of rows in a Parquet file's footer, or an error message.

    The result is cached for all candidate sets while the file is unchanged, and so is the hash.
    """
    import polars as pl

    try:
        return int(pl.scan_parquet(file).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        return f"it cannot be read ({error})"
