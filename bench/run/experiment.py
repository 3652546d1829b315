"""Base class of experiments: open, plan, fill the store, and compute the cells without a valid record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from bench import devices, memory, records
from bench.entries import ExtractorEntry, table_sources
from bench.errors import BenchError
from bench.extract import make_ready
from bench.files.atomic import check_writable
from bench.items.matching import VERSION
from bench.protocols import Extractor
from bench.records import Cost, Family, Record
from bench.run import plan
from bench.run.cells import computed
from bench.run.extraction_plan import ExtractionPlan
from bench.run.extraction_task import Audio, ExtractionTask
from bench.run.inputs import Opened
from bench.run.options import Environment, Request
from bench.run.progress import Ui


class AnyCell(Protocol):
    """One cell of a comparison, which an experiment plans, computes and records."""

    @property
    def extractor(self) -> ExtractorEntry:
        """The extractor whose vectors are used."""

    @property
    def control(self) -> bool:
        """Whether the cell is a control."""

    @property
    def seed(self) -> int:
        """Random seed of the cell."""


CellT = TypeVar("CellT", bound=AnyCell)


@dataclass
class Finished:
    """The result of a run: records, number of computed cells, and number of tracks without vectors."""

    records: list[tuple[Path, Record]] = field(default_factory=list)
    computed: int = 0
    failed_tracks: int = 0


class Experiment(ABC, Generic[CellT]):
    """Runs a request. Creating one is cheap; call `open` to read the data, then `plan`, then `do`.

    Every step raises BenchError on bad input. A subclass defines its cells, their records before there are
    numbers, and their computation.
    """

    cells: Sequence[CellT]
    audio: Audio
    extraction: ExtractionPlan
    opened: Opened | None = None
    """The request's data, if another experiment has opened it."""
    family: Family | None = None
    """The comparison that the records declare, if several experiments belong to it; None for the request's own."""
    each: Callable[[Sequence[tuple[Path, Record]]], None] | None = None
    """Called with the records so far whenever a cell was computed."""
    cell_bytes: int = 0
    """Peak memory of computing a cell beside what this process holds already, in bytes; `forecast` sets it."""

    def __init__(self, request: Request, environment: Environment, ui: Ui):
        self.request, self.environment, self.ui = request, environment, ui
        self._noted: set[str] = set()
        self._drafts: dict[CellT, Record] = {}
        self._found: dict[CellT, tuple[Path, Record]] = {}
        self._identities: dict[Hashable, Any] = {}

    def open(self) -> Self:
        """Check the request, get weights, read the data, and find missing vectors."""
        self.check()
        check_writable(self.environment.cache)
        check_writable(self.environment.results)
        for plugin in self.needs_weights():
            make_ready(plugin, self.environment.cache)
        self.read()
        return self

    # -- defined by subclasses ----------------------------------------------------------------------------

    @abstractmethod
    def check(self) -> None:
        """Resolve and check the request without reading any data."""

    @abstractmethod
    def needs_weights(self) -> Iterable[Extractor]:
        """Return the extractors whose weights must be available before long computations."""

    @abstractmethod
    def read(self) -> None:
        """Read the data, and set `audio`, `extraction` and `cells`."""

    @abstractmethod
    def describe(self) -> Iterable[str]:
        """Return the first lines of the plan: the data, and notes about it."""

    def forecast(self, todo: Sequence[CellT]) -> Iterable[str]:
        """Return the lines of the plan about computing cells; raise BenchError if it is impossible."""
        return ()

    def listed(self, todo: Sequence[CellT]) -> Iterable[str]:
        """Return the lines of the plan that name the cells to compute."""
        return plan.cells(todo, len(self.cells) - len(todo))

    @abstractmethod
    def blank(self, cell: CellT) -> Record:
        """Return the record of a cell without numbers and without the hash of its inputs."""

    @abstractmethod
    def inputs_hash(self, cell: CellT, record: Record) -> str:
        """Hash everything on which the numbers of a cell depend."""

    @abstractmethod
    def compute(self, cell: CellT, record: Record) -> tuple[Path, Record]:
        """Compute a cell and write its record."""

    def valid(self, record: Record) -> bool:
        """Whether a record of the same inputs is still valid."""
        return True

    # -- steps --------------------------------------------------------------------------------------------

    def plan(self, *, temporary: bool = False) -> list[CellT]:
        """Print the plan, and return the cells that must be computed; a temporary results folder is not named."""
        say = self.ui.log
        for line in self.describe():
            say(line)
        if len(self.extraction) and (lost := self.audio.unreadable):
            say(f"note: {lost}")
        todo = self._todo()
        for line in self.extraction.plan(self.device) if self.extraction.lacking else ():
            say(line)
        for line in self.listed(todo):
            say(line)
        for line in self.forecast(todo) if todo else ():
            say(line)
        if not temporary:
            say(f"results: {self.environment.results}")
        return todo

    def fill(self) -> int:
        """Compute missing vectors; return the largest number of tracks that an extractor could not embed."""
        if self.extraction.lacking:
            for known in (self._identities, self._drafts, self._found):  # they depend on the vectors in the store
                known.clear()
        return self.extraction.fill(lambda: self.device, self.ui, examples=5)

    def do(self) -> Finished:
        """Fill the store, compute and record; finished cells are kept if a later one fails."""
        out = Finished(failed_tracks=self.fill())
        known = [self.existing(cell) for cell in self.cells]
        todo = [cell for cell, found in zip(self.cells, known, strict=True) if found is None]
        with closing(computed(self, todo)) as results:
            for found in known:
                out.records.append(found or next(results))
                if self.each and not found:
                    self.each(out.records)
        out.computed = len(todo)
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
        """Return the record of a cell with unchanged inputs, read once; None if the cell must be computed."""
        if self.environment.again:
            return None
        if cell not in self._found and (found := self.stored(self.draft(cell))):
            self._found[cell] = found
        return self._found.get(cell)

    def stored(self, draft: Record) -> tuple[Path, Record] | None:
        """Return the stored record with the same inputs as `draft`; None if there is no valid one."""
        path = self.environment.results / draft.path
        beside = [records.rows_path(path, draft.kind), *([records.ranks_path(path)] if draft.kind == "run" else [])]
        if not all(each.exists() for each in (path, *beside)):
            return None
        try:
            found = records.read(path)
        except BenchError as error:
            self.ui.log(f"{error} It is computed again.")
            return None
        same = found.inputs_sha256 == draft.inputs_sha256 and self.valid(found)
        return (path, found) if same else None

    def _todo(self) -> list[CellT]:
        """Return the cells without a record of the same inputs; all cells while vectors are missing."""
        if self.extraction.lacking:
            return list(self.cells)
        return [cell for cell in self.cells if self.existing(cell) is None]

    def repeat(self, line: str) -> None:
        """Print a line, perhaps of another process; a note only once, even if it concerns many cells."""
        if not line.startswith("note: ") or line not in self._noted:
            self._noted.add(line)
            self.ui.log(line)

    # -- shared by subclasses -----------------------------------------------------------------------------

    def vectors_once(self, key: Hashable, identify: Callable[[], Any]) -> Any:
        """Return the identity of vectors that several cells share, found once until the store is filled."""
        if key not in self._identities:
            self._identities[key] = identify()
        return self._identities[key]

    @cached_property
    def chosen(self) -> tuple[str, str]:
        """The device in use and why; it is found only when needed, because this imports torch."""
        return devices.choose(self.environment.device)

    @property
    def device(self) -> str:
        """The device in use."""
        return self.chosen[0]

    def checkpoints(self, record: Record) -> Path:
        """Return the folder of a cell's checkpoints, named by its inputs so that a changed run starts again."""
        return self.environment.cache / "checkpoints" / record.inputs_sha256[:32]

    def tasks_of(self, *entries: ExtractorEntry) -> list[ExtractionTask]:
        """Return the extraction tasks of entries."""
        return self.extraction.of([plugin for entry in entries for plugin in entry.audio])

    def sources(self, *entries: ExtractorEntry) -> list[Mapping[str, Any]]:
        """Return data that identifies the vectors of entries that need no audio."""
        every = (one for entry in entries for one in table_sources(entry))
        return [{"version": one.plugin.version, "matching": VERSION, **one.fingerprint} for one in every]

    def cost(self, entry: ExtractorEntry) -> Cost:
        """Return the measured embedding cost on this device, if known, and the process's peak memory so far."""
        rates = [rate for task in self.tasks_of(entry) if (rate := task.set.rate(self.device)) is not None]
        return Cost(
            self.device,
            1000 * sum(rates) if rates else None,
            peak_memory_bytes=memory.peak(),
            peak_gpu_memory_bytes=devices.peak(self.device),
        )
