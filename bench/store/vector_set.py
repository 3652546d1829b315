"""Sets of vectors: all rows of an extractor with its settings, in a folder of shards."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.atomic import TEMPORARY, canonical_json, digest, write_text
from bench.files.hash_index import HashIndex
from bench.store import shards
from bench.store.verified import Verified

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
        self._verified = Verified(HashIndex.below(self.folder))
        self._known: dict[Path, pl.DataFrame] = {}
        self._merged: tuple[list[Path], pl.DataFrame] | None = None

    def rows(self) -> pl.DataFrame:
        """Return row, status, reason, seconds and shard of every row, once; vectors take precedence over failures.

        A shard that cannot be read, or whose bytes do not have the hash in its name, is treated as absent, so its
        rows are computed again; so are failures of another reader.
        """
        present = sorted(p for p in self.folder.glob("*.parquet") if not p.name.startswith(TEMPORARY))
        for path in self._verified.sound([path for path in present if path not in self._known]):
            with suppress(*shards.DAMAGE):
                other = path.name.startswith("failed-") and shards.notes(path).get("reader", "") != self.reader
                self._known[path] = _NOTHING if other else _frame(path)
        found = [path for path in present if path in self._known]
        if not found:
            return pl.DataFrame(schema=_SCHEMA)
        if self._merged is None or self._merged[0] != found:
            # In reverse order, "ok-..." comes before "failed-...", so the first entry of a row is a vector if any.
            every = pl.concat([self._known[path] for path in reversed(found)])
            self._merged = found, every.unique("row", keep="first", maintain_order=True)
        return self._merged[1]

    @property
    def has_vectors(self) -> bool:
        """Whether the set has at least one vector."""
        return next(self.folder.glob("ok-*.parquet"), None) is not None

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
            vectors = {
                name: np.stack([d.vectors[name] for d in done], dtype=self.dtype, casting="same_kind")
                for name in self.layers
            }
            for name, width in self.layers.items():
                if vectors[name].shape[1] != width:
                    raise BenchError(f"{self.name}: layer {name!r} is {vectors[name].shape[1]} wide, declared {width}.")
            columns: dict[str, Sequence[Any]] = {
                "row": [d.row for d in done],
                "status": [d.status for d in done],
                "reason": [""] * len(done),
                "seconds": [float(d.seconds) for d in done],
            }
            shards.write(self.folder, "ok", columns, vectors, notes or {})
        if failed:
            columns = {
                "row": [f.row for f in failed],
                "status": ["failed"] * len(failed),
                "reason": [f.reason for f in failed],
                "seconds": [0.0] * len(failed),
            }
            shards.write(self.folder, "failed", columns, {}, {**(notes or {}), "reader": self.reader})

    def read(self, layer: str, rows: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return vectors (N, D) float32 in the order of `rows`, and which rows have one (N,); others are zeros.

        Raises
        ------
        BenchError
            If the layer is unknown or a shard is damaged; the message then names the command that repairs the set.

        """
        if layer not in self.layers:
            raise BenchError(f"{self.name} has no layer {layer!r}; it has: {', '.join(self.layers)}.")
        have = self.rows().filter(pl.col("status") != "failed")
        wanted = pl.DataFrame({"row": list(rows)}, schema={"row": pl.String}).with_row_index("to")
        found = wanted.join(have, on="row", how="inner")
        out = np.zeros((len(rows), self.layers[layer]), np.float32)
        present = np.zeros(len(rows), np.bool_)
        needed = [Path(name) for name in found["shard"].unique()]
        changed = set(needed) - set(self._verified.sound(needed))
        for (shard,), part in found.group_by("shard"):
            try:
                if Path(str(shard)) in changed:
                    raise OSError("its bytes have changed")
                matrix = shards.layer(Path(str(shard)), layer, self.layers[layer])
            except shards.DAMAGE as error:
                raise BenchError(
                    f"{shard} is damaged ({error}). Run `bench extract --verify` with the same extractor: it "
                    "drops the shard, and the next run computes its tracks again."
                ) from error
            to = part["to"].to_numpy()
            out[to] = matrix[part["at"].to_numpy()]
            present[to] = True
        return out, present

    def verify(self) -> list[str]:
        """Check the hash of every shard; remove damaged shards and abandoned temporary files; return their names.

        A damaged description of the set is replaced and also named.
        """
        removed = []
        for path in sorted(self.folder.glob("*.parquet")) + sorted(self.folder.glob(f"{TEMPORARY}*")):
            temporary = path.name.startswith(TEMPORARY)
            stale = temporary and _abandoned(path)
            if stale or (not temporary and not shards.intact(path)):
                path.unlink(missing_ok=True)
                self._known.pop(path, None)
                removed.append(path.name)
        described = self.folder / "set.json"
        if described.exists() and described.read_bytes() != self._description.encode():
            write_text(described, self._description)
            removed.append(described.name)
        return removed

    @property
    def _description(self) -> str:
        return canonical_json({"key": self.key, "layers": self.layers, "dtype": self.dtype.name})

    def rate(self, device: str) -> float | None:
        """Return the seconds per track on `device`, measured over the newest shards; None if unknown."""
        newest = sorted(self.folder.glob("ok-*.parquet"), key=lambda p: p.stat().st_mtime, reverse=True)
        seconds, tracks = 0.0, 0
        for path in newest[:8]:
            try:
                note = shards.notes(path)
            except shards.DAMAGE:
                continue
            if note.get("device") == device and "seconds" in note:
                seconds, tracks = seconds + float(note["seconds"]), tracks + int(note["tracks"])
        return seconds / tracks if tracks else None

    def bytes_per_track(self) -> int:
        """Return the approximate bytes on disk per track, for vectors and key."""
        return sum(self.layers.values()) * self.dtype.itemsize + 100


_SCHEMA = pl.Schema(
    {
        "at": pl.UInt32,
        "row": pl.String,
        "status": pl.String,
        "reason": pl.String,
        "seconds": pl.Float64,
        "shard": pl.String,
    }
)
_NOTHING = pl.DataFrame(schema=_SCHEMA)


def _frame(path: Path) -> pl.DataFrame:
    """Return the META columns of a shard in the form of `_SCHEMA`; raises one of DAMAGE."""
    table = shards.meta(path)
    frame = pl.DataFrame(pl.from_arrow(table)).with_row_index("at").with_columns(shard=pl.lit(str(path)))
    return frame.select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())


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
