"""Parquet shards: written atomically, named by the hash of their bytes, read with checksums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.files.atomic import file_sha256, whole

META = ("row", "status", "reason", "seconds")
"""Columns of every shard: row key (hex), status (ok, short or failed), reason of a failure, seconds of audio."""

DAMAGE = (OSError, pa.ArrowException)
"""The exceptions of reading a damaged or deleted shard."""


def write(
    folder: Path,
    kind: str,
    columns: Mapping[str, Sequence[Any]],
    vectors: Mapping[str, NDArray[Any]],
    notes: Mapping[str, str],
) -> None:
    """Write ``<kind>-<sha256>.parquet`` atomically.

    Parameters
    ----------
    columns : the META columns, each (N,)
    vectors : layer id -> (N, D) array; each layer is stored as a column of fixed-size lists
    notes : text for the metadata of the file (elapsed seconds, device)

    """
    arrays: list[pa.Array] = [pa.array(columns[name]) for name in META]
    for matrix in vectors.values():
        flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
        arrays.append(pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1]))
    table = pa.Table.from_arrays(arrays, names=[*META, *map(_column, vectors)])
    table = table.replace_schema_metadata({f"bench.{k}": v for k, v in notes.items()})
    name = f"{kind}-%s.parquet"
    with whole(folder / f"{kind}.parquet", named=lambda path: name % file_sha256(path)) as temporary:
        # Vectors hardly compress, so plain pages are the fastest and not larger.
        pq.write_table(
            table,
            temporary,
            use_dictionary=["status", "reason"],
            compression="none",
            write_statistics=False,
            write_page_checksum=True,
        )


def meta(path: Path) -> pa.Table:
    """Return the META columns; raises one of DAMAGE."""
    # read_table is several times slower for small shards.
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read(columns=list(META))


def notes(path: Path) -> dict[str, str]:
    """Return the notes in the metadata of the file; raises one of DAMAGE."""
    found = pq.read_schema(path).metadata or {}
    return {k.decode()[6:]: v.decode() for k, v in found.items() if k.startswith(b"bench.")}


def layer(path: Path, name: str, width: int) -> NDArray[Any]:
    """Return the vectors (N, width) of one layer, with verified checksums; raises one of DAMAGE."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read(columns=[_column(name)])
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table.column(0).chunks]
    return np.concatenate(chunks).reshape(-1, width) if chunks else np.empty((0, width), np.float32)


def intact(path: Path) -> bool:
    """Whether the hash of the file equals the hash in its name."""
    try:
        return path.stem.rpartition("-")[2] == file_sha256(path)
    except OSError:
        return False


def _column(layer_id: str) -> str:
    return f"layer:{layer_id}"
