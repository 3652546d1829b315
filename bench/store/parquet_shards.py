"""Shards in Parquet, as they were written before: they are read, and ``bench extract --verify`` rewrites them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.files.atomic import file_sha256
from bench.files.hash_index import stamp_of
from bench.formats.sealed import DamagedError
from bench.store.shard import STATUS, Rows, expected_sha256
from bench.store.verified import Verified


class ParquetShard:
    """One column of fixed-size lists for each layer; the file name holds the sha256 of the whole file."""

    def __init__(self, path: Path, verified: Verified):
        stamp = stamp_of(path.stat())
        if not verified.holds(str(path), stamp, expected_sha256(path), lambda: file_sha256(path)):
            raise DamagedError("its bytes have changed")
        self._file = pq.ParquetFile(path, page_checksum_verification=True)
        schema = self._file.schema_arrow
        self.layers = [name[6:] for name in schema.names if name.startswith("layer:")]
        metadata = schema.metadata or {}
        self.notes = {k.decode()[6:]: v.decode() for k, v in metadata.items() if k.startswith(b"bench.")}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def rows(self) -> Rows:
        """Return the rows."""
        table = self._file.read(columns=list(Rows._fields))
        row, reason = (np.array([text.encode() for text in table[name].to_pylist()]) for name in ("row", "reason"))
        status = np.array([STATUS.index(name) for name in table["status"].to_pylist()], np.uint8)
        return Rows(row, status, reason, table["seconds"].to_numpy())

    def layer(self, name: str) -> NDArray[Any]:
        """Return the vectors (N, D) of a layer."""
        column = self._file.read(columns=[f"layer:{name}"]).column(0)
        flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
        return np.concatenate(flat).reshape(len(column), -1)
