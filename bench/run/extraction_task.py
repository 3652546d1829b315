"""Fill the store for catalogue rows: row keys, missing vectors, extraction, failures."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from bench.audio.row_key import row_keys
from bench.errors import BenchError
from bench.extract import Extraction, open_set
from bench.extract.batch_size import batch_size, check_memory
from bench.extract.readers import Source
from bench.files.atomic import digest, whole
from bench.files.hash_index import HashIndex
from bench.items.matching import SHOWN
from bench.run.options import Environment
from bench.text import counted, one_line, size

UNIT = 4096
"""Maximum number of tracks per work unit of an engine."""
SHARES = 8
"""Work units per worker of an engine with several workers, so that a slow one delays the others less."""
TRIAL = 3
"""Number of tracks to time if this extractor has not run on this device before."""


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
    """One extractor's part of a run: finds and computes the missing vectors of its set."""

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
        self._work: Extraction | None = None
        self._failed: dict[str, str] = {}
        self._state: tuple[pl.DataFrame, Sequence[str], dict[str, Any]] | None = None

    @property
    def lacks_all(self) -> bool:
        """Whether not one recording has a vector, or a known reason why it has none."""
        return len(self.sources) == len(set(self.audio.row_of.values()))

    def work(self, device: str) -> Extraction:
        """Return the worker, created once so that the model loaded for timing is used again."""
        if self._work is None:
            self._work = Extraction(
                self.extractor,
                self.environment.cache,
                device=device,
                dtype=self.environment.dtype,
                batch=self.environment.batch,
                workers=self.environment.workers,
            )
        return self._work

    def seconds_per_track(self, device: str) -> float:
        """Return the measured time per track in seconds; if unknown, measure it on a few missing tracks."""
        if (known := self.set.rate(device)) is not None:
            return known
        work = self.work(device)
        work.load()
        with tempfile.TemporaryDirectory(prefix="bench-trial-") as folder:
            real, work.cache = work.cache, Path(folder)
            work.proven = True  # failures on these few tracks do not show yet that the model is broken
            work.log = lambda _line: None
            try:
                work(self.sources[:1])  # warm-up
                started = time.monotonic()
                work(self.sources[:TRIAL])
                return (time.monotonic() - started) / len(self.sources[:TRIAL])
            finally:
                work.cache, work.proven = real, False

    def memory(self, device: str) -> str:
        """Return the memory that a GPU needs, as the end of the plan's line; empty for a CPU, or if it is unknown.

        Raises
        ------
        BenchError
            When the GPU has no memory for one window.

        """
        check_memory(self.extractor, device)
        batch = self.environment.batch or batch_size(self.extractor, device)
        if device.startswith("cpu") or (need := self.extractor.memory(batch)) is None:
            return ""
        return f"; about {size(need)} on {device} at batches of {batch}"

    def check_disk(self) -> int:
        """Return the bytes that the missing vectors need on disk.

        Raises
        ------
        BenchError
            When the disk does not have enough space.

        """
        need = len(self.sources) * self.set.bytes_per_track()
        folder = self.environment.cache
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        if need > free:
            raise BenchError(
                f"{self.extractor.name} needs {need / 1e9:.1f} GB for {len(self.sources)} tracks, {folder} has "
                f"{free / 1e9:.1f} GB free. Choose another folder with --cache."
            )
        return need

    def fill(self, device: str, progress: Callable[[int, int], None] | None, log: Callable[[str], None]) -> None:
        """Compute the missing vectors on the engine, unit by unit."""
        work, engine = self.work(device), self.environment.engine
        work.log = log
        before = [0, 0]

        def tell(done: int, failed: int) -> None:
            if progress:
                progress(before[0] + done, before[1] + failed)

        work.progress = tell
        length = UNIT
        if engine.workers > 1:
            work.unload()  # the model loaded for timing would take memory from the workers
            length = min(UNIT, math.ceil(len(self.sources) / (SHARES * engine.workers)))
        units = (self.sources[i : i + length] for i in range(0, len(self.sources), length))
        for outcome in engine.map(work, units):
            before[0] += outcome.done
            before[1] += len(outcome.failed)
            self._failed.update(outcome.failed)
            if progress:
                progress(*before)
        work.unload()  # trainings need the memory
        self.sources = []

    def failures(self) -> pl.DataFrame:
        """Return track_id, path and reason of every track without a vector, and write them to `failures_path`."""
        have = self.set.rows().select("row", "status", "reason")
        failed = have.filter(pl.col("status") == "failed").select("row", "reason")
        # The store does not record files that vanished during this run.
        now = pl.DataFrame(list(self._failed.items()), schema={"row": pl.String, "reason": pl.String}, orient="row")
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
