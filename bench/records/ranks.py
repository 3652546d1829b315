"""The ranks of every held-out item of every listener beside a record: metrics at any cut-off follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.records.paths import ranks_path
from bench.records.record import SETS, Record
from bench.records.rows import LONGEST_NAME, read_columns

_NAMES = pa.dictionary(pa.int32(), pa.large_string())
SCHEMA = pa.schema(
    [("candidates", _NAMES), ("user", _NAMES), ("item", _NAMES), ("artist", _NAMES), ("rank", pa.int32())]
)
"""Columns of the file: one row for each candidate set, listener and held-out item; `artist` is null if unknown."""

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_NAMED = ("user", "item", "artist")
_KINDS = {**dict.fromkeys(("candidates", *_NAMED), _TEXT), "rank": (pl.Int32,)}
"""The types of the columns that a reader accepts."""


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOut:
    """The held-out items of U listeners on one candidate set, P pairs sorted by listener and rank."""

    listeners: pl.Series
    """Names (U,), in the order of the record's per-user values."""
    indptr: NDArray[np.int64]
    """The pairs of listener u are ``indptr[u]:indptr[u + 1]``."""
    items: pl.Series
    """Names of the distinct items."""
    item: NDArray[np.int32]
    """Index into `items` (P,)."""
    artists: pl.Series
    """Names of the distinct artists."""
    artist: NDArray[np.int32]
    """Index into `artists` (P,) of the item's artist, -1 if unknown."""
    rank: NDArray[np.int32]
    """Rank (P,) among the listener's candidates, without the history; 1 is best, 0 if the item cannot be listed."""

    @classmethod
    def of(
        cls,
        listeners: pl.Series,
        indptr: NDArray[np.int64],
        item: NDArray[np.integer],
        rank: NDArray[np.int32],
        names: pl.Series,
        artists: pl.Series,
    ) -> HeldOut:
        """Create from pairs sorted by listener.

        Parameters
        ----------
        listeners
            Names (U,).
        indptr
            The pairs of listener u are ``indptr[u]:indptr[u + 1]``.
        item
            Row of each pair (P,) in the next two.
        rank
            Rank of each pair (P,).
        names, artists
            Names (N,) of all items, and of their artists, null if unknown.

        """
        order = np.lexsort((rank, np.repeat(np.arange(len(listeners)), np.diff(indptr))))
        rows, item = np.unique(item[order], return_inverse=True)
        distinct, artist = _coded(artists.gather(rows).to_frame("artist"))["artist"]
        return cls(
            listeners=listeners,
            indptr=indptr,
            items=names.gather(rows),
            item=item.astype(np.int32),
            artists=distinct,
            artist=artist[item],
            rank=rank[order],
        )

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of held-out items of each listener (U,)."""
        return np.diff(self.indptr)

    @property
    def listener(self) -> NDArray[np.int64]:
        """Index into `listeners` of each pair (P,)."""
        return np.repeat(np.arange(len(self.listeners)), self.sizes)


def write_ranks(file: Path, held_out: Mapping[str, HeldOut]) -> int:
    """Write the pairs of each candidate set, and return their number."""
    rows = 0
    # A dictionary of names is written once for each set; beyond this limit, each row would hold its name.
    with pq.ParquetWriter(file, SCHEMA, compression="zstd", dictionary_pagesize_limit=1 << 30) as writer:
        for where, held in held_out.items():
            n = len(held.rank)
            artist = pa.array(held.artist, mask=held.artist < 0)
            columns = [
                _named(pa.array(np.zeros(n, np.int32)), pl.Series([where])),
                _named(pa.array(held.listener.astype(np.int32)), held.listeners),
                _named(pa.array(held.item), held.items),
                _named(artist, held.artists),
                pa.array(held.rank),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA), row_group_size=max(1, n))
            rows += n
    return rows


def read_ranks(record_path: Path, record: Record) -> dict[str, HeldOut] | str:
    """Return the held-out items of each candidate set of a record, or why the file beside it has not its ranks."""
    if record.ranks is None:
        return "its record was written without ranks"
    found = read_columns(ranks_path(record_path), record.ranks.count, record.ranks.sha256, SCHEMA.names)
    if isinstance(found, str):
        return found
    for name, kinds in _KINDS.items():
        if found.schema.get(name, pl.Null) not in kinds:
            return f"its column {name} is missing or of another type"
    try:
        # Codes take a quarter of the memory of names.
        return _held_out(found.with_columns(pl.col("candidates", *_NAMED).cast(pl.Categorical)), record)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        return f"it cannot be read ({error})"


def _held_out(pairs: pl.DataFrame, record: Record) -> dict[str, HeldOut] | str:
    """Return the held-out items of each candidate set, or why the columns are invalid."""
    if any(pairs[name].null_count() for name in pairs.columns if name != "artist"):
        return "a value is missing"
    names = _coded(pairs.select("candidates", *_NAMED))
    sets, candidates = names.pop("candidates")
    if strange := set(sets) ^ set(record.metrics):
        return f"it or its record has no pairs of {min(strange)}"
    user = pairs["user"].to_physical().to_numpy()
    ranks = pairs["rank"].to_numpy()
    long = _long(each for each, _ in names.values())
    found = {}
    for where in (where for where in SETS if where in record.metrics):
        chosen = np.flatnonzero(candidates == sets.to_list().index(where))
        rank, listener = ranks[chosen], user[chosen]
        new = np.flatnonzero(np.append(True, listener[1:] != listener[:-1]))
        if len(new) != (expected := record.users.get(where, 0)):
            return f"it has {len(new):,} {where} users, its record {expected:,}"
        if len(np.unique(listener[new])) < len(new):
            return f"its {where} pairs are not sorted by user"
        same = np.ones(len(rank), np.bool_)
        same[new] = False
        step = np.diff(rank.astype(np.int64), prepend=0)
        if rank.min() < 0 or (step[same] < 0).any() or (step[same & (rank > 0)] == 0).any():
            return f"its {where} ranks do not ascend"
        if rank.max() > record.candidates.get(where, 0):
            return f"a {where} rank is above the number of candidates"
        (items, item), (artists, artist) = (_used(*names[name], chosen) for name in ("item", "artist"))
        every, code = names["user"]
        listeners = every.gather(code[chosen][new])
        if long and _long((listeners, items, artists)):
            return f"a {where} name has more than {LONGEST_NAME:,} bytes"
        indptr = np.append(new, len(rank)).astype(np.int64)
        found[where] = HeldOut(
            listeners=listeners, indptr=indptr, items=items, item=item, artists=artists, artist=artist, rank=rank
        )
    return found


def _coded(columns: pl.DataFrame) -> dict[str, tuple[pl.Series, NDArray[np.int32]]]:
    """Return the distinct names of each column, sorted, and the index of each row; -1 for null."""
    physical = columns.select(pl.all().cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1))
    found = {}
    for column, codes in zip(columns, physical, strict=True):
        distinct, first, inverse = np.unique(codes.to_numpy(), return_index=True, return_inverse=True)
        null = int(len(distinct) > 0 and distinct[0] < 0)
        names = column.gather(first[null:]).cast(pl.String)
        order = names.arg_sort().to_numpy()
        place = np.full(len(distinct), -1, np.int32)
        place[null + order] = np.arange(len(order))
        found[column.name] = names.gather(order), place[inverse]
    return found


def _long(names: Iterable[pl.Series]) -> bool:
    """Return whether a name is longer than a report accepts."""
    return any((each.str.len_bytes().max() or 0) > LONGEST_NAME for each in names)  # type: ignore[operator]


def _used(names: pl.Series, code: NDArray[np.int32], chosen: NDArray[np.intp]) -> tuple[pl.Series, NDArray[np.int32]]:
    """Return the names that the chosen rows have, and the index of each of these rows; -1 for null."""
    code = code[chosen]
    used = np.bincount(code[code >= 0], minlength=len(names)) > 0
    place = np.append(np.cumsum(used) - 1, -1).astype(np.int32)
    return names.filter(pl.Series(used, dtype=pl.Boolean)), place[code]


def _named(codes: pa.Array, names: pl.Series) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(codes, names.to_arrow().cast(pa.large_string()))
