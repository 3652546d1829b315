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


def read_rows(file: Path, record: Record, columns: Iterable[str]) -> pl.DataFrame | str:
    """Return those of some columns that the rows beside a record have, or why the file does not have its rows.

    The same bytes are counted, hashed and parsed. A record of version 1 has no hash: its file must have a row for
    every user of every candidate set.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if not stat.S_ISREG((status := os.stat(file)).st_mode):  # opening a named pipe would wait forever
            return "it is no regular file"
        if record.rows is None and record.schema_version > 1:
            return "its record was written without rows"
        if status.st_size > LARGEST:
            return f"{status.st_size:,} bytes are more than a report reads"
        content = file.read_bytes()
        footer = pq.read_metadata(pa.BufferReader(content))
        expected = record.rows.count if record.rows else sum(record.users.values())
        if footer.num_rows != expected:
            return f"it has {footer.num_rows:,} rows, its record {expected:,}"
        if record.rows and hashlib.sha256(content).hexdigest() != record.rows.sha256:
            return "it is not the file that was written with its record: it has another hash"
        there = set(footer.schema.to_arrow_schema().names)
        chosen = [name for name in columns if name in there]
        if expected * len(chosen) * 8 > LARGEST:
            return f"{expected:,} users are more than a report compares"
        return pl.read_parquet(BytesIO(content), columns=chosen)
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        return f"it cannot be read ({error})"
