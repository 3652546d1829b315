"""One experiment, whatever it measures: open, plan, fill the store, compute the cells without a record, record."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from bench import memory, records
from bench.entries import ExtractorEntry, table_sources
from bench.errors import BenchError
from bench.extract import make_ready
from bench.files.atomic import check_writable
from bench.items.matching import VERSION
from bench.protocols import Extractor
from bench.records import Cost, Record
from bench.run import plan
from bench.run.extraction_plan import ExtractionPlan
from bench.run.extraction_task import Audio, ExtractionTask
from bench.run.options import Environment
from bench.run.progress import Ui


class AnyCell(Protocol):
    """One line of a comparison: what an experiment plans, computes and records."""

    @property
    def extractor(self) -> ExtractorEntry:
        """Whose vectors."""

    @property
    def control(self) -> bool:
        """Whether it stands in the table only to be compared with."""

    @property
    def seed(self) -> int:
        """Of everything that depends on chance."""


CellT = TypeVar("CellT", bound=AnyCell)


@dataclass
class Finished:
    """What a run leaves: its records, whether it computed any, and tracks without vectors."""

    records: list[tuple[Path, Record]] = field(default_factory=list)
    computed: int = 0
    failed_tracks: int = 0


class Experiment(ABC, Generic[CellT]):
    """A request at work. Making one is cheap; `open` reads the data, then `plan`, then `do`.

    Every step raises BenchError on bad input. A subclass says what its cells are, what a record says of one
    before its numbers, and how one is computed.
    """

    cells: Sequence[CellT]
    audio: Audio
    extraction: ExtractionPlan

    def __init__(self, environment: Environment, ui: Ui):
        self.environment, self.ui = environment, ui
        self._drafts: dict[CellT, Record] = {}

    def open(self) -> Self:
        """Check the request, bring weights, read the data, and look what the store lacks."""
        self.check()
        check_writable(self.environment.cache)
        check_writable(self.environment.results)
        for plugin in self.needs_weights():
            make_ready(plugin, self.environment.cache)
        self.read()
        return self

    # -- what a kind of experiment says -------------------------------------------------------------------

    @abstractmethod
    def check(self) -> None:
        """Resolve the request, and refuse what cannot be, without reading any data."""

    @abstractmethod
    def needs_weights(self) -> Iterable[Extractor]:
        """Return the extractors whose weights must be there before anything that takes long."""

    @abstractmethod
    def read(self) -> None:
        """Read the data, and set `audio`, `extraction` and `cells`."""

    @abstractmethod
    def describe(self) -> Iterable[str]:
        """Return the lines with which the plan begins: the data, and notes about it."""

    def forecast(self, todo: Sequence[CellT]) -> Iterable[str]:
        """Return what the plan says of the work on cells; raise BenchError where it cannot be done."""
        return ()

    @abstractmethod
    def blank(self, cell: CellT) -> Record:
        """Return the record of a cell without numbers and without the hash of its inputs."""

    @abstractmethod
    def inputs_hash(self, cell: CellT, record: Record) -> str:
        """Hash everything the numbers of a cell depend on."""

    @abstractmethod
    def compute(self, cell: CellT, record: Record) -> tuple[Path, Record]:
        """Compute a cell and write its record."""

    def valid(self, record: Record) -> bool:
        """Whether a record of the same inputs still stands."""
        return True

    # -- the walk -----------------------------------------------------------------------------------------

    def plan(self) -> list[CellT]:
        """Print what will be done, and return the cells that must be computed."""
        say = self.ui.log
        for line in self.describe():
            say(line)
        todo = self._todo()
        for line in self.extraction.plan(self.device) if self.extraction.lacking else ():
            say(line)
        for line in plan.cells(todo, [cell for cell in self.cells if cell not in todo]):
            say(line)
        for line in self.forecast(todo) if todo else ():
            say(line)
        say(f"results: {self.environment.results}")
        return todo

    def fill(self) -> int:
        """Embed what is missing; return the largest number of tracks without a vector."""
        if self.extraction.lacking:
            self._drafts.clear()  # their hashes know the store as it was
        return self.extraction.fill(lambda: self.device, self.ui, examples=5)

    def do(self) -> Finished:
        """Fill the store, compute and record; finished cells stay when a later one fails."""
        out = Finished(failed_tracks=self.fill())
        known = [self.existing(cell) for cell in self.cells]
        todo, started = known.count(None), time.monotonic()
        for cell, found in zip(self.cells, known, strict=True):
            if found is None:
                if todo > 1:
                    self.ui.log(plan.progress(out.computed, todo, time.monotonic() - started))
                out.computed += 1
            out.records.append(found or self.measure(cell))
        return out

    def measure(self, cell: CellT) -> tuple[Path, Record]:
        """Compute and record one cell; the store must be filled."""
        self.ui.log(f"computing {cell}")
        return self.compute(cell, self.draft(cell))

    def draft(self, cell: CellT) -> Record:
        """Return the record of a cell without numbers, with the hash of its inputs."""
        if cell not in self._drafts:
            record = self.blank(cell)
            self._drafts[cell] = replace(record, inputs_sha256=self.inputs_hash(cell, record))
        return self._drafts[cell]

    def existing(self, cell: CellT) -> tuple[Path, Record] | None:
        """Find the record of a cell whose inputs are what they are now; None where it must be computed."""
        return None if self.environment.again else self.stored(self.draft(cell))

    def stored(self, draft: Record) -> tuple[Path, Record] | None:
        """Read the record that the results hold of the inputs of `draft`; None where there is no valid one."""
        path = self.environment.results / draft.path
        if not path.exists() or not records.rows_path(path, draft.kind).exists():
            return None
        try:
            found = records.read(path)
        except BenchError as error:
            self.ui.log(f"{error} It is computed again.")
            return None
        same = found.inputs_sha256 == draft.inputs_sha256 and self.valid(found)
        return (path, found) if same else None

    def _todo(self) -> list[CellT]:
        """Return the cells without a record of the same inputs; unknown inputs mean work."""
        if self.extraction.lacking:
            return list(self.cells)
        return [cell for cell in self.cells if self.existing(cell) is None]

    # -- parts that the kinds share -----------------------------------------------------------------------

    @cached_property
    def device(self) -> str:
        """The device in use; finding out imports torch, so an unchanged run never asks."""
        return plan.device(self.environment.device)

    def checkpoints(self, record: Record) -> Path:
        """Where the checkpoints of a cell go: by inputs, so that a changed run starts anew."""
        return self.environment.cache / "checkpoints" / record.inputs_sha256[:32]

    def tasks_of(self, *entries: ExtractorEntry) -> list[ExtractionTask]:
        """Return the sets behind the vectors of entries."""
        return self.extraction.of([plugin for entry in entries for plugin in entry.audio])

    def sources(self, *entries: ExtractorEntry) -> list[Mapping[str, Any]]:
        """Return what identifies the vectors of entries that need no audio."""
        every = (one for entry in entries for one in table_sources(entry))
        return [{"version": one.plugin.version, "matching": VERSION, **one.fingerprint} for one in every]

    def cost(self, entry: ExtractorEntry) -> Cost:
        """Return what embedding costs on this device where that was measured, and the process's peak memory so far."""
        rates = [rate for task in self.tasks_of(entry) if (rate := task.set.rate(self.device)) is not None]
        return Cost(self.device, 1000 * sum(rates) if rates else None, peak_memory_bytes=memory.peak())
