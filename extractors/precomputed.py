"""Vectors from a file: .npy with ids, Parquet, TSV or CSV (also .bz2, .gz), never a pickle."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.hash_index import sha256_once
from bench.listening.columns import listed, normalize
from bench.listening.text_table import open_table
from bench.protocols import FILE, TableSource
from bench.store.exported import read_about

ID_NAMES = (
    "track_id",
    "trackid",
    "item_id",
    "itemid",
    "item",
    "id",
    "song_id",
    "songid",
    "recording_mbid",
    "mbid",
    "track",
)
"""Names of the id column, the first one present wins; compared in lower case."""

_INDEX = re.compile(r"(unnamed:_\d+(_level_\d+)?|__index_level_\d+__)?")
"""Names that pandas and R give an index, which is often written without any name."""
_COUNTED = 8
"""From so many rows on, a column that counts them is no descriptor."""
_OTHER_ID = re.compile(r".*_(id|ids|mbid|isrc|uri)")

SOURCE = "see the file's source"


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
    license: str = SOURCE


class Precomputed(TableSource):
    """A file of vectors: Music4All-Onion's ``id_*.tsv.bz2``, Yambda's embeddings, or your own.

    Every record names the file by its sha256. A file NAME.about.json beside it, which `bench export` writes, says what
    the model was trained on, so that leaks are found as with the model itself. Files with missing or non-finite values,
    or with an id that occurs twice, are refused; the message names the first such id. In a table an index without a
    name, any other id and a column that counts the rows are no part of a vector; what was taken for what is printed.
    """

    Settings = PrecomputedSettings
    name = "precomputed"
    version = "2"
    settings: PrecomputedSettings

    def __init__(self, settings: PrecomputedSettings):
        super().__init__(settings)
        self.path = Path(settings.path).expanduser()
        if not self.path.is_file():
            raise BenchError(f"precomputed: there is no file {self.path}. Give path=FILE (.npy, .parquet, .tsv, .csv).")
        self._about = read_about(self.path)
        self.license = self._about.license if settings.license == SOURCE and self._about.license else settings.license
        self.trained_on = self._about.trained_on or self.trained_on
        self.heard = self._about.heard
        self.non_commercial = self._about.non_commercial

    @property
    def untrained(self) -> bool:
        """Whether the weights of the exported model were random."""
        return self._about.untrained

    @property
    def synthetic(self) -> bool:
        """Whether the exported model has heard synthesised music alone."""
        return self._about.synthetic

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
            frame = self._read(self.path)
            try:
                ids, vectors = self._columns(frame)
            except pl.exceptions.PolarsError as error:  # lists of lists, ids that are lists
                why = str(error).partition("\n")[0]
                raise BenchError(f"precomputed: {self.path}: ids or vectors have an unusual type ({why}).") from error
        if len(ids) != len(vectors):
            raise BenchError(f"precomputed: {self.path} has {len(vectors)} rows but {len(ids)} ids.")
        if not len(ids) or not vectors.shape[1]:
            raise BenchError(f"precomputed: {self.path} holds no vectors (shape {vectors.shape}).")
        if (empty := next((row for row, name in enumerate(ids, 1) if not name), None)) is not None:
            raise BenchError(f"precomputed: {self.path}: row {empty} has no id. Remove such rows.")
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
        if not isinstance(vectors, np.ndarray):
            raise BenchError(f"precomputed: {self.path} is an archive (.npz). Save the array with numpy.save.")
        if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
            raise BenchError(
                f"precomputed: {self.path} has shape {vectors.shape} and type {vectors.dtype}; "
                "expected numbers of shape (tracks, width)."
            )
        return cast("NDArray[Any]", vectors)

    def _ids_of_npy(self) -> list[str]:
        if self._ids_path.suffix == ".txt":
            try:
                text = self._ids_path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError as error:
                raise BenchError(f"precomputed: {self._ids_path} is not UTF-8 ({error.reason}). Convert it.") from error
            # Not splitlines: an id may hold a character that Unicode calls a line break.
            return text.removesuffix("\n").split("\n") if text else []
        frame = self._read(self._ids_path)
        return frame[self._id_column(frame, self._ids_path)].cast(pl.String).to_list()

    def _read(self, path: Path) -> pl.DataFrame:
        """Read a table; text stays text, so that id 007 stays 007."""
        try:
            frame = open_table(path).read()
            return frame.filter(~pl.all_horizontal(pl.all().is_null()))
        except BenchError as error:
            raise BenchError(f"precomputed: cannot read the table: {error}") from error

    def _id_column(self, frame: pl.DataFrame, path: Path) -> str:
        """Return the name of the id column; its place differs between files."""
        if self.settings.id:
            if self.settings.id in frame.columns:
                return self.settings.id
            wanted: tuple[str, ...] = (self.settings.id,)
        else:
            wanted, names = ID_NAMES, {normalize(name): name for name in reversed(frame.columns)}
            if found := next((names[name] for name in wanted if name in names), None):
                return found
            indexes = [name for name in frame.columns if _INDEX.fullmatch(normalize(name))]
            # pandas writes a table whose index is the id without a name for it.
            if len(indexes) == 1 and frame[indexes[0]].cast(pl.String).cast(pl.Float64, strict=False).null_count():
                return indexes[0]
        raise BenchError(
            f"precomputed: {path} has no id column called {' or '.join(wanted)}; its columns are "
            f"{', '.join(frame.columns[:8])}{', ...' if frame.width > 8 else ''}. Give id=NAME."
        )

    def _columns(self, frame: pl.DataFrame) -> tuple[list[str], NDArray[Any]]:
        """Split a frame into ids and vectors: one list column, or one dimension for each other column."""
        key = self._id_column(frame, self.path)
        ids = frame[key].cast(pl.String).to_list()
        lists = [name for name, kind in frame.schema.items() if isinstance(kind, (pl.List, pl.Array))]
        if self.settings.column or lists:
            name = self.settings.column or lists[0]
            if name not in lists or (not self.settings.column and len(lists) > 1):
                raise BenchError(
                    f"precomputed: {self.path}: give column= one of {', '.join(lists) or '(no list column)'}."
                )
            column = frame[name].cast(pl.List(pl.Float64), strict=False)
            if column.list.len().n_unique() > 1:
                raise BenchError(f"precomputed: {self.path}: column {name!r} has lists of different lengths.")
            vectors = column.explode().fill_null(float("nan")).to_numpy().reshape(len(ids), -1)
            rest = [other for other in frame.columns if other not in (key, name)]
            _say(self.path, key, f"vectors of {vectors.shape[1]} numbers from {name!r}", rest)
            return ids, vectors
        others = [name for name in frame.columns if name != key]
        ignored = _no_dimensions(frame.select(others))
        kept = [name for name in others if name not in ignored]
        for name in kept:
            if not (frame[name].dtype.is_numeric() or frame[name].dtype in (pl.String, pl.Boolean, pl.Null)):
                raise BenchError(f"precomputed: {self.path}: column {name!r} is {frame[name].dtype}. Remove it.")
        numbers = frame.select(kept).cast(pl.Float64, strict=False)
        for name in kept:
            if (bad := (numbers[name].is_null() & frame[name].is_not_null()).arg_true()).len():
                raise BenchError(
                    f"precomputed: {self.path}: column {name!r} holds {frame[name][bad[0]]!r} for id {ids[bad[0]]!r}, "
                    "which is no number. Remove the column, or the row."
                )
        span = f", {kept[0]!r} to {kept[-1]!r}" if kept else ""
        _say(self.path, key, f"vectors of {len(kept)} numbers{span}", ignored)
        return ids, numbers.fill_null(float("nan")).to_numpy()


def _no_dimensions(frame: pl.DataFrame) -> list[str]:
    """Return the columns that are an index or another id: their names say so, or one alone counts the rows."""
    named = [
        name
        for name in frame.columns
        if _INDEX.fullmatch(normalize(name)) or normalize(name) in ID_NAMES or _OTHER_ID.fullmatch(normalize(name))
    ]
    counting = [name for name in frame.columns if name not in named and _counts_rows(frame[name])]
    return [name for name in frame.columns if name in named or (counting == [name] and len(named) + 1 < frame.width)]


def _counts_rows(column: pl.Series) -> bool:
    if len(column) < _COUNTED or not (column.dtype.is_integer() or column.dtype == pl.String):
        return False
    numbers = column.cast(pl.Int64, strict=False)
    return numbers[0] in (0, 1) and bool((numbers.diff().slice(1) == 1).all(ignore_nulls=False))


@lru_cache
def _tell(line: str) -> None:
    """Say once per process, on the error stream, how a file is read: a run opens it for every cell."""
    print(line, file=sys.stderr, flush=True)


def _say(path: Path, key: str, vectors: str, ignored: Iterable[str]) -> None:
    rest = f"; ignored: {listed(ignored)}" if ignored else ""
    _tell(f"precomputed: {path.name}: ids from {key!r}; {vectors}{rest}")
