"""Read the rows beside a record, once, and check that they belong to it before any of them is parsed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from bench.records.record import Record

if TYPE_CHECKING:
    import polars as pl

LARGEST = 1 << 30
"""Maximum bytes of a file, and of its values in memory; real files are far below it."""


LONGEST_NAME = 1000
"""Maximum bytes of a user's, item's or artist's name; real logs are far below it."""


def read_rows(file: Path, record: Record, columns: Iterable[str]) -> pl.DataFrame | str:
    """Return those of some columns that the rows beside a record have, or why the file does not have its rows.

    A record of version 1 has no hash: its file must have a row for every user of every candidate set.
    """
    if record.rows:
        return read_columns(file, record.rows.count, record.rows.sha256, columns)
    if record.schema_version > 1:
        return "its record was written without rows"
    return read_columns(file, sum(record.users.values()), None, columns)


def read_columns(file: Path, count: int, sha256: str | None, columns: Iterable[str]) -> pl.DataFrame | str:
    """Return those of some columns that a Parquet file has, or why it is not the file of so many rows and that hash.

    The same bytes are counted, hashed and parsed. Without a hash, any file of so many rows is read.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if not stat.S_ISREG((status := os.stat(file)).st_mode):  # opening a named pipe would wait forever
            return "it is no regular file"
        if status.st_size > LARGEST:
            return f"{status.st_size:,} bytes are more than a report reads"
        content = file.read_bytes()
        footer = pq.read_metadata(pa.BufferReader(content))
        if footer.num_rows != count:
            return f"it has {footer.num_rows:,} rows, its record {count:,}"
        if sha256 and hashlib.sha256(content).hexdigest() != sha256:
            return "it is not the file that was written with its record: it has another hash"
        there = set(footer.schema.to_arrow_schema().names)
        chosen = [name for name in columns if name in there]
        if count * len(chosen) * 8 > LARGEST:
            return f"{count:,} rows are more than a report compares"
        return pl.read_parquet(BytesIO(content), columns=chosen)
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        return f"it cannot be read ({error})"
