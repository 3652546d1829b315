"""Splits on disk: one Parquet file each, that proves itself by its fingerprint."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import polars as pl

from bench.data.parts import SCHEMA, Split, fingerprint
from bench.data.temporal import GlobalTemporal
from bench.errors import BenchError
from bench.files import canonical_json, whole

_KEY = b"bench.split"


def write(split: Split, folder: Path) -> Path:
    """Write ``split-<first 16 digits of the fingerprint>.parquet`` (zstd) into `folder`, atomically.

    Settings, counts and fingerprint travel in the file's schema metadata.
    """
    import pyarrow.parquet as pq

    about = {
        "settings": asdict(split.settings),
        "counts": dict(split.counts),
        "fingerprint": split.fingerprint,
    }
    table = split.pairs.with_columns(pl.col("part").cast(pl.String)).to_arrow()
    table = table.replace_schema_metadata({_KEY: canonical_json(about).encode()})
    path = folder / f"split-{split.fingerprint[:16]}.parquet"
    with whole(path) as temporary:
        # Ids repeat: a dictionary as large as the catalogue keeps them small.
        pq.write_table(
            table, temporary, compression="zstd", dictionary_pagesize_limit=1 << 26, write_page_checksum=True
        )
    return path


def read(path: Path) -> Split:
    """Read a split and verify its fingerprint.

    Raises
    ------
    BenchError
        The file is missing, damaged, or no split.

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise BenchError(f"there is no split at {path}.")
    remedy = "Remove the file; the split is then made anew."
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        table.validate(full=True)
        about = json.loads((table.schema.metadata or {})[_KEY])
        settings = GlobalTemporal(**about["settings"])
        frame = pl.from_arrow(table.replace_schema_metadata(None))
        assert isinstance(frame, pl.DataFrame)
        pairs = frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        found = fingerprint(pairs, settings)
        counts, expected = about["counts"], about["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise BenchError(f"{path} is damaged, or no split ({error!r:.200}). {remedy}") from error
    if found != expected:
        raise BenchError(f"{path} is damaged: its fingerprint is {found}, expected {expected}. {remedy}")
    return Split(pairs, settings, counts, found)
