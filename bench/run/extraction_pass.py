"""Compute the missing vectors of all poolings of one network in one pass over the audio."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from bench.errors import BenchError
from bench.extract import Extraction
from bench.extract.batch_size import batch_size, check_memory
from bench.extract.readers import Source
from bench.protocols import Extractor
from bench.run.extraction_task import ExtractionTask
from bench.run.options import Environment
from bench.text import size

UNIT = 4096
"""Maximum number of tracks per work unit of an engine."""
SHARES = 8
"""Work units per worker of an engine with several workers, so that a slow one delays the others less."""
TRIAL = 3
"""Number of tracks to time if this extractor has not run on this device before."""


class ExtractionPass:
    """The sets of one network: one for each pooling, filled together, so that no recording is heard twice."""

    def __init__(self, tasks: Sequence[ExtractionTask], environment: Environment):
        self.tasks, self.environment = tasks, environment
        self._work: Extraction | None = None

    @property
    def extractor(self) -> Extractor:
        """The extractor of the first set; the others differ from it by their pooling alone."""
        first: Extractor = self.tasks[0].extractor
        return first

    @property
    def name(self) -> str:
        """The name of the extractor, with the poolings if there are several."""
        poolings = ", ".join(task.extractor.pooling for task in self.tasks)
        return f"{self.extractor.name} ({poolings})" if len(self.tasks) > 1 else self.extractor.name

    @cached_property
    def sources(self) -> list[Source]:
        """The recordings without a vector in one of the sets or more, each once."""
        return list({source.row: source for task in self.tasks for source in task.sources}.values())

    @property
    def lacks_all(self) -> bool:
        """Whether not one recording has a vector, or a known reason why it has none."""
        return all(len(task.sources) == len(set(task.audio.row_of.values())) for task in self.tasks)

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
        for task in self.tasks:
            if (known := task.set.rate(device)) is not None:
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
        """Return the bytes that the missing vectors need on disk, in all sets.

        Raises
        ------
        BenchError
            When the disk does not have enough space.

        """
        need = sum(len(task.sources) * task.set.bytes_per_track() for task in self.tasks)
        folder = self.environment.cache
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        if need > free:
            raise BenchError(
                f"{self.name} needs {need / 1e9:.1f} GB for {len(self.sources)} tracks, {folder} has "
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
        for tasks, sources in self._alike():
            work.into([task.extractor for task in tasks])
            units = (sources[i : i + length] for i in range(0, len(sources), length))
            for outcome in engine.map(work, units):
                before[0] += outcome.done
                before[1] += len(outcome.failed)
                for task in tasks:
                    task.failed.update(outcome.failed)
                if progress:
                    progress(*before)
        work.unload()  # trainings need the memory
        for task in self.tasks:
            task.sources = []
        del self.sources

    def _alike(self) -> list[tuple[list[ExtractionTask], list[Source]]]:
        """Return the missing recordings by the sets that lack them: what a set has already is not written again."""
        lacking = [{source.row for source in task.sources} for task in self.tasks]
        found: dict[tuple[bool, ...], list[Source]] = {}
        for source in self.sources:
            found.setdefault(tuple(source.row in rows for rows in lacking), []).append(source)
        return [
            ([task for task, lacks in zip(self.tasks, which, strict=True) if lacks], sources)
            for which, sources in found.items()
        ]
