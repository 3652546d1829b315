"""Vectors from a file: .npy with ids, Parquet, TSV or CSV (also .bz2, .gz), never a pickle."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.hash_index import sha256_once
from bench.protocols import FILE, TableSource

ID_NAMES = ("id", "track_id", "item_id", "trackid", "track", "item", "recording_mbid", "mbid")


@dataclass(frozen=True)
class PrecomputedSettings:
    """Where the vectors are.

    path : .npy, .parquet, .tsv or .csv (the last two also .bz2 or .gz)
    ids : for .npy: a text file with one id per line (or a CSV with an id column), in the order of the rows;
          default: the file of the same name ending in .ids.txt
    id : name of the id column; default: the first column with a usual name, such as track_id
    column : for Parquet: the list column to read (Yambda: embed or normalized_embed)
    license : as the source states it, for the report
    """

    path: str = field(metadata=FILE)
    ids: str | None = field(default=None, metadata=FILE)
    id: str | None = None
    column: str | None = None
    license: str = "see the file's source"


class Precomputed(TableSource):
    """A file of vectors: Music4All-Onion's ``id_*.tsv.bz2``, Yambda's embeddings, or your own.

    Every record names the file by its sha256. Files with missing or non-finite values, or with an id that occurs
    twice, are refused; the message names the first such id.
    """

    Settings = PrecomputedSettings
    name = "precomputed"
    settings: PrecomputedSettings

    def __init__(self, settings: PrecomputedSettings):
        super().__init__(settings)
        self.license = settings.license
        self.path = Path(settings.path).expanduser()
        if not self.path.is_file():
            raise BenchError(f"precomputed: there is no file {self.path}. Give path=FILE (.npy, .parquet, .tsv, .csv).")

    def fingerprint(self) -> dict[str, Any]:
        """Return the sha256 of the file (and of the ids' file), and which columns are read."""
        out = {"file": self.path.name, "sha256": sha256_once(self.path), "id": self.settings.id,
               "column": self.settings.column}  # fmt: skip
        if self.path.suffix == ".npy":
            out["ids_sha256"] = sha256_once(self._ids_path)
        return out

    def known_ids(self) -> Sequence[str]:
        """Return the ids (N,) of the file, in the order of its rows."""
        return self._content[0]

    def present(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Return which ids (N,) the file has."""
        return np.fromiter((i in self._row for i in ids), np.bool_, len(ids))

    def table(self, ids: Sequence[str], *, base: NDArray[np.float32] | None, seed: int) -> NDArray[np.float32]:
        """Return the rows of `ids` (N, D)."""
        rows = np.fromiter((self._row[i] for i in ids), np.int64, len(ids))
        return np.asarray(self._content[1][rows], dtype=np.float32)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self._content[0])}

    @property
    def _ids_path(self) -> Path:
        path = Path(self.settings.ids).expanduser() if self.settings.ids else self.path.with_suffix(".ids.txt")
        if not path.is_file():
            raise BenchError(f"precomputed: {self.path.name} needs its ids, one per line, in {path}; or give ids=FILE.")
        return path

    @cached_property
    def _content(self) -> tuple[list[str], NDArray[Any]]:
        """Read and check ids and vectors (N, D)."""
        if self.path.suffix == ".npy":
            ids, vectors = self._ids_of_npy(), self._npy()
        else:
            ids, vectors = self._columns(self._read(self.path))
        if len(ids) != len(vectors):
            raise BenchError(f"precomputed: {self.path} has {len(vectors)} rows but {len(ids)} ids.")
        if not len(ids) or not vectors.shape[1]:
            raise BenchError(f"precomputed: {self.path} holds no vectors (shape {vectors.shape}).")
        if len(set(ids)) != len(ids):
            seen = pl.Series(ids)
            first = seen.filter(seen.is_duplicated())[0]
            raise BenchError(f"precomputed: {self.path}: id {first!r} occurs more than once; keep one row per id.")
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise BenchError(
                f"precomputed: {self.path}: {int(bad.sum())} rows have a missing or non-finite value, the "
                f"first is id {ids[row]!r} (row {row + 1}). Remove them: reports show absent tracks as coverage."
            )
        return ids, vectors

    def _npy(self) -> NDArray[Any]:
        try:
            vectors = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise BenchError(
                f"precomputed: {self.path} is not a plain .npy array ({error}). Pickles are never read."
            ) from error
        if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
            raise BenchError(
                f"precomputed: {self.path} has shape {vectors.shape} and type {vectors.dtype}; "
                "expected numbers of shape (tracks, width)."
            )
        return cast("NDArray[Any]", vectors)

    def _ids_of_npy(self) -> list[str]:
        if self._ids_path.suffix == ".txt":
            return self._ids_path.read_text(encoding="utf-8").splitlines()
        frame = self._read(self._ids_path)
        return frame[self._id_column(frame)].cast(pl.String).to_list()

    def _read(self, path: Path) -> pl.DataFrame:
        """Read a table with all columns as text, so that id 007 stays 007."""
        kinds = [s for s in path.suffixes if s in (".parquet", ".tsv", ".csv")]
        try:
            if kinds[-1:] == [".parquet"]:
                return pl.read_parquet(path)
            if kinds:
                with _opened(path) as file:
                    head = file.readline()
                    file.seek(0)
                    # Music4All names its tab-separated files .csv.
                    tabs = kinds[-1] == ".tsv" or b"\t" in head
                    return pl.read_csv(file, separator="\t" if tabs else ",", infer_schema=False)
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            raise BenchError(f"precomputed: cannot read {path}: {error}") from error
        raise BenchError(f"precomputed: {path.name} is none of .npy, .parquet, .tsv, .csv (.bz2, .gz).")

    def _id_column(self, frame: pl.DataFrame) -> str:
        """Return the name of the id column; its place differs between files."""
        wanted = (self.settings.id,) if self.settings.id else ID_NAMES
        for name in wanted:
            if name in frame.columns:
                return name
        raise BenchError(
            f"precomputed: {self.path} has no id column called {' or '.join(wanted)}; its columns are "
            f"{', '.join(frame.columns[:8])}{', ...' if frame.width > 8 else ''}. Give id=NAME."
        )

    def _columns(self, frame: pl.DataFrame) -> tuple[list[str], NDArray[Any]]:
        """Split a frame into ids and vectors: one list column, or one dimension for each other column."""
        key = self._id_column(frame)
        ids = frame[key].cast(pl.String).to_list()
        lists = [name for name, kind in frame.schema.items() if isinstance(kind, (pl.List, pl.Array))]
        if self.settings.column or lists:
            name = self.settings.column or lists[0]
            if name not in lists or (not self.settings.column and len(lists) > 1):
                raise BenchError(
                    f"precomputed: {self.path}: give column= one of {', '.join(lists) or '(no list column)'}."
                )
            column = frame[name]
            if isinstance(column.dtype, pl.List) and column.list.len().n_unique() > 1:
                raise BenchError(f"precomputed: {self.path}: column {name!r} has lists of different lengths.")
            return ids, np.array(column.to_list(), dtype=np.float64).reshape(len(ids), -1)
        numbers = frame.drop(key).cast(pl.Float64, strict=False)
        return ids, numbers.fill_null(float("nan")).to_numpy()


def _opened(path: Path) -> IO[bytes]:
    """Open a text table, decompressed."""
    if path.suffix == ".bz2":
        return bz2.open(path)
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
