"""Which rows a set has, and where their vectors are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.store.shard import STATUS, Rows

Index = slice | NDArray[np.uint32]


@dataclass(frozen=True)
class Places:
    """Where the vectors of requested rows are, in the order of the shards.

    Parameters
    ----------
    shards : the shards that are needed
    starts : first of the M vectors in each of them
    at, to : row in the shard, and row in the request, of each vector (M,)
    present : which of the N requested rows have a vector (N,)

    """

    shards: list[Path]
    starts: NDArray[np.int64]
    at: NDArray[np.uint32]
    to: NDArray[np.uint32]
    present: NDArray[np.bool_]

    def parts(self) -> Iterator[tuple[Path, Index, Index]]:
        """Yield each shard with the rows in it and their rows in the request."""
        stops = np.append(self.starts, len(self.at))[1:]
        for path, start, stop in zip(self.shards, self.starts, stops, strict=True):
            yield path, _index(self.at[start:stop]), _index(self.to[start:stop])


def _index(rows: NDArray[np.uint32]) -> Index:
    """Return consecutive rows as a slice, which needs no copy."""
    if (rows[1:] == rows[:-1] + 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def places(have: pl.DataFrame, shards: Sequence[Path], rows: Sequence[str] | pl.Series) -> Places:
    """Find the N `rows` in a frame of `frame`, whose shards have the given paths; failures count as absent."""
    usable = have.filter(pl.col("status") != "failed").select("row", "shard", "at")
    wanted = pl.DataFrame({"row": pl.Series(rows, dtype=pl.String)}).with_row_index("to")
    found = wanted.join(usable, on="row", how="inner").select("shard", "at", "to").sort("shard", "at")
    shard, at, to = (found[name].to_numpy() for name in found.columns)
    present = np.zeros(len(rows), np.bool_)
    present[to] = True
    starts = np.flatnonzero(np.diff(shard, prepend=-1))
    return Places([shards[i] for i in shard[starts]], starts, at, to, present)


def frame(shards: Sequence[Rows]) -> pl.DataFrame:
    """Return row, status, reason, seconds, shard (its number) and at (row in it); of equal rows only the first."""
    if not shards:
        shards = [Rows(np.empty(0, "S1"), np.empty(0, np.uint8), np.empty(0, "S1"), np.empty(0))]
    row, status, seconds = (
        np.concatenate([getattr(rows, name) for rows in shards]) for name in ("row", "status", "seconds")
    )
    sizes = [len(rows.row) for rows in shards]
    return pl.DataFrame(
        {
            "row": _text(row),
            "status": pl.Series(STATUS, dtype=pl.Enum(STATUS)).gather(status),
            "reason": pl.concat([_text(rows.reason) for rows in shards]),  # as wide as the longest, all would be large
            "seconds": seconds,
            "shard": np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes),
            "at": np.concatenate([np.arange(size, dtype=np.uint32) for size in sizes]),
        }
    ).filter(pl.col("row").is_first_distinct())


def utf8(texts: Iterable[str]) -> NDArray[np.bytes_]:
    """Return texts as UTF-8 of a fixed width."""
    return np.array([text.encode() for text in texts])


def _text(content: NDArray[np.bytes_]) -> pl.Series:
    """Return what `utf8` made, as text."""
    import pyarrow as pa

    width = content.itemsize
    fixed = pa.Array.from_buffers(pa.binary(width), len(content), [None, pa.py_buffer(np.ascontiguousarray(content))])
    text = pl.Series(pl.from_arrow(fixed)).cast(pl.String)
    padded = not content.view(np.uint8).reshape(-1, width)[:, -1].all()
    return text.str.strip_chars_end("\0") if padded else text
