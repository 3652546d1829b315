"""Store splits on disk: one Parquet file each, verified by its fingerprint."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.files.atomic import canonical_json, digest, whole
from bench.splits.settings import KINDS
from bench.splits.split import SCHEMA, Coded, Split, fingerprint

_KEY = b"bench.split"


def write(split: Split, folder: Path) -> Path:
    """Write ``split-<16 digits of the fingerprint>-<8 of the counts>.parquet`` (zstd) into `folder`, atomically.

    Settings, counts and fingerprint are stored in the file's metadata. Two logs may have splits with the same pairs and
    leave out different plays, so the name contains a hash of the counts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    about: dict[str, Any] = {
        "kind": split.settings.kind,
        "settings": asdict(split.settings),
        "counts": dict(split.counts),
        "fingerprint": split.fingerprint,
    }
    about["sha256"] = digest(about)
    rest = split.pairs.select(pl.col(name) for name in SCHEMA if name not in split.coded)
    columns = dict(zip(rest.columns, rest.with_columns(pl.col("part").cast(pl.String)).to_arrow().columns, strict=True))
    # Converted with polars: Arrow's own conversion from NumPy imports pandas if it is installed.
    for name, (ids, codes) in split.coded.items():
        numbers = pl.Series(codes.astype(np.int32)).to_arrow()
        columns[name] = pa.DictionaryArray.from_arrays(numbers, ids.to_arrow(compat_level=pl.CompatLevel.oldest()))
    table = pa.table({name: columns[name] for name in SCHEMA})
    path = folder / f"split-{split.fingerprint[:16]}-{digest(dict(split.counts))[:8]}.parquet"
    with whole(path) as temporary:
        writer = pq.ParquetWriter(
            temporary,
            table.schema,
            compression="zstd",
            # Ids repeat, so a dictionary of all ids makes the file small. Times hardly repeat.
            use_dictionary=["user", "item", "part"],
            dictionary_pagesize_limit=1 << 26,
            column_encoding=dict.fromkeys(("first", "last", "count"), "DELTA_BINARY_PACKED"),
            write_page_checksum=True,
            store_schema=False,  # other readers then get text, not dictionaries
        )
        with writer:
            writer.write_table(table)
            writer.add_key_value_metadata({_KEY: canonical_json(about).encode()})
    return path


def read(path: Path) -> Split:
    """Read a split and verify its fingerprint.

    Raises
    ------
    BenchError
        The file is missing, damaged, or not a split.

    """
    import pyarrow.parquet as pq

    if not path.is_file():
        raise BenchError(f"there is no split at {path}.")
    remedy = "Remove the file; the split is then made again."
    try:
        # Ids are read as codes with a dictionary, which is faster than as text.
        with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=["user", "item", "part"]) as file:
            about = json.loads((file.metadata.metadata or {})[_KEY])
            sha256 = about.pop("sha256")
            table = file.read()
        if sha256 != digest(about):
            raise ValueError("its settings or counts have changed")
        table.validate(full=True)
        settings = KINDS[about.get("kind", "global_temporal")](**about["settings"])
        coded = {name: _coded(table.column(name)) for name in ("user", "item", "part")}
        rest = pl.from_arrow(table.select([name for name in SCHEMA if name not in coded]).replace_schema_metadata(None))
        assert isinstance(rest, pl.DataFrame)
        texts = {name: ids.gather(codes) for name, (ids, codes) in coded.items()}
        pairs = rest.with_columns(**texts).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        del coded["part"]
        found = fingerprint(pairs, settings, coded)
        counts, expected = about["counts"], about["fingerprint"]
    except Exception as error:  # damaged bytes can raise anything in the three libraries
        raise BenchError(f"{path} is damaged, or not a split ({error!r:.200}). {remedy}") from error
    if found != expected:
        raise BenchError(f"{path} is damaged: its fingerprint is {found}, expected {expected}. {remedy}")
    return Split.of(pairs, settings, counts, found, coded)


def _coded(column: Any) -> Coded:
    """Convert a dictionary column of Arrow to sorted ids and codes."""
    column = column.unify_dictionaries()
    import pyarrow as pa

    chunks = column.chunks
    ids = pl.Series(chunks[0].dictionary.to_pylist() if chunks else [], dtype=pl.String)
    order = ids.arg_sort().to_numpy()
    number = np.empty(len(ids), np.int64)
    number[order] = np.arange(len(ids))
    # Converted with polars: to_numpy of Arrow imports pandas if it is installed.
    indices = pl.Series(pl.from_arrow(pa.chunked_array([chunk.indices for chunk in chunks], pa.int32())))
    return Coded(ids.gather(order), number[indices.to_numpy()])
