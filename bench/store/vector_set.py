"""Sets of vectors: all rows of an extractor with its settings, in a folder of shards."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.atomic import TEMPORARY, canonical_json, digest, write_text
from bench.files.hash_index import HashIndex
from bench.formats.sealed import DamagedError
from bench.store import manifest
from bench.store.manifest import Places
from bench.store.safetensors_shards import SUFFIX, SafetensorsShard, part_name, write
from bench.store.shard import STATUS, Rows, Shard
from bench.store.verified import Verified

OLD_SUFFIX = ".parquet"
STALE = 24 * 3600
"""Age in seconds after which a temporary file is treated as abandoned."""


@dataclass(frozen=True)
class Vector:
    """A row with vectors, layer id -> (D,); `status` is ok, or short if the track is shorter than one window."""

    row: str
    seconds: float
    vectors: Mapping[str, NDArray[np.float64]]
    status: str = "ok"


@dataclass(frozen=True)
class Failure:
    """A row without vectors, and the reason."""

    row: str
    reason: str


class VectorSet:
    """The vectors of an extractor with its settings, by row key.

    Parameters
    ----------
    root : folder of the store
    name : name of the extractor; the folder name starts with it
    key : everything that changes the vectors, as JSON values; its sha256 is part of the folder name
    layers : layer id -> width of the stored vectors
    dtype : float32 or float16
    reader : what reads the files, with versions; failures under another reader are not known, as it may do better

    """

    def __init__(
        self, root: Path, name: str, key: Mapping[str, Any], layers: Mapping[str, int], dtype: str, reader: str = ""
    ):
        self.sha256 = digest(key)
        self.folder = root / f"{name}-{self.sha256[:16]}"
        self.name, self.key, self.layers, self.dtype = name, dict(key), dict(layers), np.dtype(dtype)
        self.reader = reader
        self._index = HashIndex.below(self.folder)
        self._verified = Verified(self._index)
        self._listed: list[Path] | None = None
        self._shards: list[Path] = []
        self._rows = manifest.frame([])

    def rows(self) -> pl.DataFrame:
        """Return row, status, reason, seconds, shard (a number) and place in it of every row, once.

        Vectors take precedence over failures. A shard that cannot be read, or is known to be damaged, is treated as
        absent, so its rows are computed again; so are failures of another reader.
        """
        present = sorted((p for p in self._files() if not p.name.startswith(TEMPORARY)), reverse=True)
        if self._listed != present:
            self._verified.recall(map(str, present))
            found = {path: rows for path in present if (rows := self._rows_of(path)) is not None}
            # In reverse order, "ok-..." comes before "failed-...", so the first entry of a row is a vector if any.
            self._listed, self._shards, self._rows = present, list(found), manifest.frame(list(found.values()))
            self._verified.save()
        return self._rows

    def _files(self) -> list[Path]:
        """Return the shards, and temporary files of this and other processes."""
        suffixes = (SUFFIX, OLD_SUFFIX)
        return [p for p in self.folder.glob("*") if p.name.startswith(TEMPORARY) or p.suffix in suffixes]

    @contextmanager
    def _opened(self, path: Path, verified: Verified | None = None) -> Iterator[Shard]:
        """Open a shard; whatever a damaged one raises in the ``with`` statement becomes a DamagedError."""
        try:
            if path.suffix == OLD_SUFFIX:
                from bench.store.parquet_shards import ParquetShard

                shard: Shard = ParquetShard(path, verified or self._verified)
            else:
                shard = SafetensorsShard(path, verified or self._verified)
            with closing(shard):
                yield shard
        except (OSError, ValueError, KeyError) as error:
            raise DamagedError(str(error)) from error

    def _rows_of(self, path: Path) -> Rows | None:
        with suppress(DamagedError), self._opened(path) as shard:
            if not path.name.startswith("failed-") or shard.notes.get("reader", "") == self.reader:
                return shard.rows()
        return None

    @property
    def has_vectors(self) -> bool:
        """Whether the set has at least one vector."""
        return any(path.name.startswith("ok-") for path in self._files())

    def missing(self, rows: Iterable[str], *, retry_failed: bool = False) -> list[str]:
        """Return the rows that are not in the set (with `retry_failed`: or failed), in order, without duplicates."""
        have = self.rows()
        if retry_failed:
            have = have.filter(pl.col("status") != "failed")
        wanted = pl.DataFrame({"row": list(rows)}, schema={"row": pl.String}).unique(maintain_order=True)
        return wanted.join(have, on="row", how="anti", maintain_order="left")["row"].to_list()

    def append(self, done: Sequence[Vector], failed: Sequence[Failure], notes: Mapping[str, str] | None = None) -> None:
        """Write rows as new shards, atomically; `BenchError` if a vector has the wrong width."""
        if not (self.folder / "set.json").exists():
            write_text(self.folder / "set.json", self._description)
        if done:
            vectors = {name: self._stacked(name, done) for name in self.layers}
            status = np.array([STATUS.index(d.status) for d in done], np.uint8)
            seconds = np.array([d.seconds for d in done], np.float64)
            rows = Rows(manifest.utf8(d.row for d in done), status, np.zeros(len(done), "S1"), seconds)
            write(self.folder, "ok", rows, vectors, notes or {})
        if failed:
            status = np.full(len(failed), STATUS.index("failed"), np.uint8)
            reasons = manifest.utf8(f.reason for f in failed)
            rows = Rows(manifest.utf8(f.row for f in failed), status, reasons, np.zeros(len(failed)))
            write(self.folder, "failed", rows, {}, {**(notes or {}), "reader": self.reader})

    def _stacked(self, layer: str, done: Sequence[Vector]) -> NDArray[Any]:
        width = self.layers[layer]
        out = np.empty((len(done), width), self.dtype)
        for at, vector in enumerate(done):
            values = vector.vectors[layer]
            if values.shape != (width,):
                raise BenchError(f"{self.name}: layer {layer!r} is {values.shape[-1]} wide, declared {width}.")
            out[at] = values
        return out

    def find(self, rows: Sequence[str] | pl.Series) -> Places:
        """Return where the vectors of `rows` are, to read several layers of them."""
        return manifest.places(self.rows(), self._shards, rows)

    def read(
        self, layer: str, rows: Sequence[str] | pl.Series | Places, out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return vectors (N, D) float32 in the order of `rows`, and which rows have one (N,); others are zeros.

        Beside the result, the memory of one shard is needed, and that of the keys while they are joined.

        Parameters
        ----------
        rows : row keys (N,), or what `find` returned for them
        out : array (N, D) to fill and return; it may be a memory map

        Raises
        ------
        BenchError
            If the layer is unknown or a shard is damaged; the message then names the command that repairs the set.

        """
        if layer not in self.layers:
            raise BenchError(f"{self.name} has no layer {layer!r}; it has: {', '.join(self.layers)}.")
        places = rows if isinstance(rows, Places) else self.find(rows)
        if out is None:
            out = np.empty((len(places.present), self.layers[layer]), np.float32)
        out[~places.present] = 0.0
        self._verified.recall(part_name(path, layer) for path in places.shards)
        try:
            for path, at, to in places.parts():
                with self._opened(path) as shard:
                    matrix = shard.layer(layer)
                out[to] = matrix[at]
        except DamagedError as error:
            self._listed = None
            raise BenchError(
                f"{path} is damaged ({error}). Run `bench extract --verify` with the same extractor: it "
                "drops the shard, and the next run computes its tracks again."
            ) from error
        finally:
            self._verified.save()
        return out, places.present

    def verify(self) -> tuple[list[str], int]:
        """Check the hashes of all bytes; remove damaged shards and abandoned temporary files; rewrite old shards.

        A damaged description of the set is replaced.

        Returns
        -------
        removed, rewritten
            The names of what was removed or replaced, and how many shards had the layout of older versions.

        """
        removed, rewritten = [], 0
        for path in sorted(self._files()):
            if _abandoned(path) if path.name.startswith(TEMPORARY) else self._damaged(path):
                path.unlink(missing_ok=True)
                removed.append(path.name)
            elif path.suffix == OLD_SUFFIX and not path.name.startswith(TEMPORARY):
                with suppress(DamagedError):  # another process has just rewritten it
                    self._rewrite(path)
                    rewritten += 1
        self._listed = None
        described = self.folder / "set.json"
        if described.exists() and described.read_bytes() != self._description.encode():
            write_text(described, self._description)
            removed.append(described.name)
        return removed, rewritten

    def _damaged(self, path: Path) -> bool:
        with suppress(DamagedError), self._opened(path, Verified(self._index)) as shard:
            shard.rows()
            for name in shard.layers:
                shard.layer(name)
            return False
        return True

    def _rewrite(self, path: Path) -> None:
        """Write a shard of an older layout again."""
        with self._opened(path) as shard:
            vectors = {name: shard.layer(name) for name in shard.layers}
            write(self.folder, path.name.partition("-")[0], shard.rows(), vectors, shard.notes)
        path.unlink(missing_ok=True)

    @property
    def _description(self) -> str:
        return canonical_json({"key": self.key, "layers": self.layers, "dtype": self.dtype.name})

    def rate(self, device: str) -> float | None:
        """Return the seconds per track on `device`, measured over the newest shards; None if unknown."""
        vectors = [path for path in self._files() if path.name.startswith("ok-")]
        newest = sorted(vectors, key=_changed, reverse=True)
        seconds, tracks = 0.0, 0
        for path in newest[:8]:
            with suppress(DamagedError), self._opened(path) as shard:
                note = shard.notes
                if note.get("device") == device and "seconds" in note:
                    seconds, tracks = seconds + float(note["seconds"]), tracks + int(note["tracks"])
        return seconds / tracks if tracks else None

    def bytes_per_track(self) -> int:
        """Return the approximate bytes on disk per track, for vectors and key."""
        return sum(self.layers.values()) * self.dtype.itemsize + 100


def _changed(path: Path) -> float:
    """Return when a file was last changed, in seconds since 1970; 0 if another process has just removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _abandoned(temporary: Path) -> bool:
    """Whether the writing process (on this machine) has ended, or the file is older than `STALE`."""
    try:
        if time.time() - temporary.stat().st_mtime > STALE:
            return True
        if os.name == "posix":  # on Windows the signal 0 is Ctrl-C
            os.kill(int(temporary.name.removeprefix(TEMPORARY).split("-")[0]), 0)
    except (ProcessLookupError, ValueError):
        return True
    except OSError:
        return False
    return False
