"""Item tables: the only way in which vectors reach a model, read-only and aligned by id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import lt
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bench import treatments
from bench.entries import Component, ExtractorEntry, table_sources
from bench.errors import BenchError
from bench.extract import open_set
from bench.items.matching import AS_WRITTEN, Matched, match
from bench.norms import l2
from bench.protocols import TableSource
from bench.text import counted

IDS = 65_536
"""Ids that are hashed at a time."""

Raw = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Vectors (N, D), and which rows have one (N,)."""


@dataclass(frozen=True, eq=False)
class ItemTable:
    """Row = item index. `vectors` cannot be written to; its hash is checked again after each fit."""

    ids: Sequence[str]
    vectors: NDArray[np.float32]
    present: NDArray[np.bool_]
    hot: NDArray[np.bool_]
    meta: Mapping[str, Sequence[Any]]

    def __post_init__(self) -> None:
        """Check the alignment and lock the arrays."""
        n = len(self.ids)
        for what, array in (("vectors", self.vectors), ("present", self.present), ("hot", self.hot)):
            if len(array) != n:
                raise BenchError(f"item table: {len(array)} rows of {what} for {n} ids.")
            array.flags.writeable = False
        # Ids in ascending order, as usual, are distinct; a set of them would take much memory.
        if not all(map(lt, self.ids, islice(self.ids, 1, None))) and len(set(self.ids)) != n:
            raise BenchError("item table: an id occurs twice.")
        if (row := _not_finite(self.vectors)) is not None:
            raise BenchError(f"item table: the vector of {self.ids[row]!r} is not finite.")

    def now_sha256(self) -> str:
        """Hash the bytes as they are now: ids, presence and vectors."""
        out = hashlib.sha256()
        for start in range(0, len(self.ids), IDS):
            out.update(("\n" if start else "").encode() + "\n".join(self.ids[start : start + IDS]).encode())
        out.update(self.present.tobytes())
        for part in treatments.blocks(self.vectors):
            out.update(np.ascontiguousarray(self.vectors[part]).data)
        return out.hexdigest()

    @cached_property
    def sha256(self) -> str:
        """The hash at first sight."""
        return self.now_sha256()

    @property
    def coverage(self) -> float:
        """Share of the items that have a vector."""
        return float(self.present.mean()) if len(self.present) else 0.0


def matched(source: TableSource, ids: Sequence[str]) -> Matched | None:
    """Match `ids` with those of a source; None if it has a vector for every id. The last result is kept."""
    if (known := _matched.get(source)) is None or known[0] is not ids:
        own = source.known_ids()
        known = _matched[source] = ids, None if own is None else match(ids, {AS_WRITTEN: own})
    return known[1]


_matched: WeakKeyDictionary[TableSource, tuple[Sequence[str], Matched | None]] = WeakKeyDictionary()


def joins(entries: Iterable[ExtractorEntry], ids: Sequence[str], tracks: str) -> list[str]:
    """Return a line for each source of `entries` whose ids are not exactly `ids`; see `Matched.describe`."""
    lines: dict[str, None] = {}
    for entry in entries:
        for source in table_sources(entry):
            if isinstance(source.plugin, TableSource) and (joined := matched(source.plugin, ids)) is not None:
                lines[joined.describe(str(source.spec), tracks, "vector")] = None
    return [line for line in lines if line]


@dataclass(frozen=True)
class Tables:
    """Where tables come from: the store, and row keys of the audio behind each track id.

    Parameters
    ----------
    row_of : track id -> row key; tracks without audio are absent

    """

    cache: Path
    row_of: Mapping[str, str]
    seed: int = 0

    def build(
        self,
        entry: ExtractorEntry,
        ids: Sequence[str],
        *,
        hot: NDArray[np.bool_],
        meta: Mapping[str, Sequence[Any]] | None = None,
    ) -> ItemTable:
        """Build the table of an entry for sorted `ids`, with the entry's treatment.

        A sum ``A+B`` normalises each part (l2) before joining, so that no part drowns the other by its scale;
        an item needs a vector in every part.
        """
        vectors, present = self.joined(entry, ids)
        if not present.any():
            raise BenchError(f"{entry}: none of the {len(ids)} items has a vector. {self._why(entry, ids)}")
        if steps := treatments.parse(entry.treat):
            vectors = treatments.apply(vectors, steps, fit=hot & present, seed=self.seed, overwrite=True)
        vectors[~present] = 0.0
        return ItemTable(list(ids), vectors, present, hot.copy(), meta or {})

    def joined(self, entry: ExtractorEntry, ids: Sequence[str]) -> Raw:
        """Read ``A`` as it is, or ``A+B`` with each part at length 1, side by side; the arrays are the caller's own."""
        parts = [self.raw(component, ids) for component in entry.components]
        if len(parts) == 1:
            return parts[0]
        present = np.logical_and.reduce([there for _, there in parts])
        out = np.empty((len(ids), sum(vectors.shape[1] for vectors, _ in parts)), np.float32)
        for part in treatments.blocks(out):
            np.concatenate([l2(vectors[part]) for vectors, _ in parts], axis=1, out=out[part])
        return out, present

    def raw(self, component: Component, ids: Sequence[str]) -> Raw:
        """Read one extractor's vectors (N, D) as they are, in the order of `ids`."""
        if isinstance(component.plugin, TableSource):
            return self._source(component.plugin, component.base, ids)
        rows = [self.row_of.get(i, "") for i in ids]
        return open_set(self.cache, component.plugin).read(component.layer_used, rows)

    @staticmethod
    def _why(entry: ExtractorEntry, ids: Sequence[str]) -> str:
        """Return the likely cause if no item has a vector."""
        for source in table_sources(entry):
            if isinstance(source.plugin, TableSource) and (joined := matched(source.plugin, ids)) is not None:
                if joined.found.any():
                    continue
                return (
                    f"{source.plugin.name} has {counted(len(joined.offered), 'id')} (such as {joined.offered[0]!r}), "
                    f"and none of them is one of the log (such as {ids[0]!r}): the vectors are those of other tracks, "
                    "or another column holds their ids."
                )
        return "Look at the failures listed." if entry.audio else "No item has one in every part."

    def _source(self, plugin: TableSource, of: ExtractorEntry | None, ids: Sequence[str]) -> Raw:
        base: NDArray[np.float32] | None = None
        present = np.ones(len(ids), np.bool_)
        if of is not None:
            base, present = self.joined(of, ids)
        rows, names = np.flatnonzero(present), list(ids)
        if (joined := matched(plugin, ids)) is not None:
            rows = rows[joined.found[rows]]
            names = joined.offered.gather(np.maximum(joined.rows, 0)).to_list()
            rows = np.asarray(sorted(rows.tolist(), key=names.__getitem__), np.int64)
        rows = rows[plugin.present([names[row] for row in rows])]
        found = plugin.table(
            [names[row] for row in rows],
            base=None if base is None else base[rows],
            seed=self.seed,
        )
        if len(found) != len(rows) or found.ndim != 2:
            raise BenchError(f"{plugin.name} gave a table of shape {found.shape} for {len(rows)} ids.")
        vectors = np.zeros((len(ids), found.shape[1]), np.float32)
        vectors[rows] = found
        if _not_finite(vectors) is not None:
            raise BenchError(f"{plugin.name} gave vectors that are not finite.")
        present = np.zeros(len(ids), np.bool_)
        present[rows] = True
        return vectors, present


def _not_finite(vectors: NDArray[np.float32]) -> int | None:
    """Return the first row of vectors (N, D) with a value that is not finite; None if there is none."""
    for part in treatments.blocks(vectors):
        fine = np.isfinite(vectors[part])
        if not fine.all():
            return int(part.start) + int(np.argmin(fine.all(axis=1)))
    return None
