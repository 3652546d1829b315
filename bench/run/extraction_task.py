"""The vectors of catalogue rows in one set of the store: row keys, missing vectors, failures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from bench.audio.row_key import row_keys
from bench.extract import open_set
from bench.extract.readers import Source
from bench.files.atomic import digest, whole
from bench.files.hash_index import HashIndex
from bench.items.matching import SHOWN
from bench.run.options import Environment
from bench.text import counted, one_line


@dataclass(frozen=True)
class Audio:
    """The tracks of one run: catalogue rows with audio keys.

    rows : track_id, path, offset, duration, row (hex key, null when unreadable), problem (why it is null)
    """

    rows: pl.DataFrame

    @staticmethod
    def of(catalog: pl.DataFrame, cache: Path) -> Audio:
        """Hash the audio of a catalogue; an index of sizes and modification times avoids hashing again."""
        found = row_keys(catalog, HashIndex.below(cache).hashes(catalog["path"].to_list()))
        keys = [key if isinstance(key, str) else None for key in found]
        problems = [None if isinstance(key, str) else str(key) for key in found]
        return Audio(
            catalog.with_columns(
                pl.Series("row", keys, dtype=pl.String), pl.Series("problem", problems, dtype=pl.String)
            )
        )

    @property
    def unreadable(self) -> str:
        """A line with the number of tracks whose file is missing or cannot be read, and some of them; else empty."""
        lost = self.rows.filter(pl.col("problem").is_not_null())
        if not len(lost):
            return ""
        names = ", ".join(
            f"{track!r} ({problem}: {path})"
            for track, problem, path in lost.head(SHOWN).select("track_id", "problem", "path").iter_rows()
        )
        return f"audio: {len(lost)} of {counted(len(self.rows), 'file')} cannot be read: {one_line(names)}"

    @cached_property
    def row_of(self) -> dict[str, str]:
        """Mapping from track_id to row key."""
        usable = self.rows.filter(pl.col("row").is_not_null())
        return dict(zip(usable["track_id"].to_list(), usable["row"].to_list(), strict=True))


@dataclass
class ExtractionTask:
    """One extractor's part of a run: finds the missing vectors of its set; `ExtractionPass` computes them."""

    extractor: Any
    audio: Audio
    environment: Environment

    def __post_init__(self) -> None:
        """Open the set and find missing vectors."""
        self.set = open_set(self.environment.cache, self.extractor)
        usable = self.audio.rows.filter(pl.col("row").is_not_null())
        lacking = self.set.missing(usable["row"].to_list(), retry_failed=self.environment.retry_failed)
        part = usable.unique("row", keep="first", maintain_order=True)
        part = pl.DataFrame({"row": lacking}, schema={"row": pl.String}).join(
            part, on="row", how="left", maintain_order="left"
        )
        self.sources = [Source(*row) for row in part.select("row", "path", "offset", "duration").iter_rows()]
        self.failed: dict[str, str] = {}
        """Row key -> reason of what failed in this run."""
        self._state: tuple[pl.DataFrame, Sequence[str], dict[str, Any]] | None = None

    def failures(self) -> pl.DataFrame:
        """Return track_id, path and reason of every track without a vector, and write them to `failures_path`."""
        have = self.set.rows().select("row", "status", "reason")
        failed = have.filter(pl.col("status") == "failed").select("row", "reason")
        # The store does not record files that vanished during this run.
        now = pl.DataFrame(list(self.failed.items()), schema={"row": pl.String, "reason": pl.String}, orient="row")
        failed = pl.concat([failed, now.join(have, on="row", how="anti")])
        joined = self.audio.rows.join(failed, on="row", how="left", maintain_order="left")
        out = joined.with_columns(pl.coalesce("problem", "reason").alias("reason"))
        out = out.filter(pl.col("reason").is_not_null()).select("track_id", "path", "reason")
        if len(out):
            with whole(self.failures_path) as temporary:
                out.write_csv(temporary)
        else:
            with suppress(OSError):  # remove an outdated list of an earlier run
                self.failures_path.unlink()
        return out

    def settled(self) -> str:
        """Describe a complete set: number of tracks with vectors, and known failures."""
        failed = len(self.failures())
        known = f", {failed} known to fail (--retry-failed tries again)" if failed else ""
        return f"{self.extractor.name}: {len(self.audio.rows) - failed} tracks are in the store{known}"

    @property
    def failures_path(self) -> Path:
        """Path of the list that `failures` writes."""
        return self.set.folder / "failures.csv"

    def state(self, ids: Sequence[str]) -> dict[str, Any]:
        """Identify the vectors of `ids` by the set, the audio, and the rows present."""
        rows = self.set.rows()
        if self._state is not None and self._state[0] is rows and self._state[1] is ids:
            return self._state[2]
        have = rows.filter(pl.col("status") != "failed").select("row")
        wanted = self.audio.rows.filter(pl.col("track_id").is_in(list(ids))).sort("track_id")
        there = wanted.join(have, on="row", how="semi", maintain_order="left")
        found = {"set": self.set.sha256, "rows": digest(there.select("track_id", "row").rows())}
        self._state = rows, ids, found
        return found
