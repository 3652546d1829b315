"""Write records atomically: first the files beside it, then the record with their hashes and its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files.atomic import file_sha256, whole, write_text
from bench.records.check import check
from bench.records.codec import decode, encode
from bench.records.invalid import InvalidValueError
from bench.records.parts import RowsFile
from bench.records.paths import ranks_path, rows_path
from bench.records.reading import content_sha256
from bench.records.record import SCHEMA_VERSION, Record

if TYPE_CHECKING:
    import polars as pl

    from bench.records.ranks import HeldOut


def write(
    record: Record,
    folder: Path,
    rows: pl.DataFrame | None = None,
    held_out: Mapping[str, HeldOut] | None = None,
) -> tuple[Path, Record]:
    """Write a record below `folder`, after its rows and the ranks of held-out items of each candidate set, if any.

    Returns
    -------
    tuple
        Path of the JSON file, and the record as it will be read, with all hashes.

    Raises
    ------
    BenchError
        For a value that a record cannot contain, such as NaN; nothing is written in this case. Also when the
        folder is not writable.

    """
    path = folder / record.path
    try:
        record = decode(Record, encode(replace(record, schema_version=SCHEMA_VERSION, content_sha256=None)))
        check(record)
    except InvalidValueError as error:
        raise BenchError(f"{path}: {error}; the record is not written.") from error
    if rows is not None:
        with whole(rows_path(path, record.kind)) as temporary:
            rows.write_parquet(temporary)
            record = replace(record, rows=RowsFile(rows.height, file_sha256(temporary)))
    if held_out is not None:
        from bench.records.ranks import write_ranks

        with whole(ranks_path(path)) as temporary:
            count = write_ranks(temporary, held_out)
            record = replace(record, ranks=RowsFile(count, file_sha256(temporary)))
    record = replace(record, content_sha256=content_sha256(encode(record)))
    write_text(path, layout(record))
    return path, record


def layout(record: Record) -> str:
    """Return the text of a record's file."""
    content: dict[str, Any] = encode(record)
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
