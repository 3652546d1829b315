"""Compute cells on an engine: in this process, in several, or elsewhere."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from bench import memory, records
from bench.errors import BenchError
from bench.records import Family, Record
from bench.registry import create
from bench.run import plan
from bench.run.options import Environment, Request
from bench.run.progress import Ui


class Computes(Protocol):
    """An experiment, as far as its cells are computed; see `bench.run.experiment.Experiment`."""

    request: Request
    environment: Environment
    ui: Ui
    cells: Sequence[Any]
    cell_bytes: int
    family: Family | None

    @property
    def device(self) -> str:
        """The device in use."""

    def check(self) -> None:
        """Resolve the request."""

    def read(self) -> None:
        """Read the data."""

    def draft(self, cell: Any) -> Record:
        """Return the record of a cell without numbers."""

    def compute(self, cell: Any, record: Record) -> tuple[Path, Record]:
        """Compute a cell and write its record."""

    def repeat(self, line: str) -> None:
        """Print a line that another process logged."""


@dataclass(frozen=True)
class CellUnit:
    """A cell as an engine knows it: its place among the experiment's cells, its name, and the hash of its inputs."""

    index: int
    name: str
    inputs_sha256: str

    def __str__(self) -> str:
        """Return the name of the cell."""
        return self.name


@dataclass(frozen=True)
class ComputedCell:
    """The result of a unit: the path of its record, and what another process logged meanwhile."""

    unit: CellUnit
    path: Path
    lines: Sequence[str] = ()


class CellWork:
    """The work of one process: call it with a unit to compute the cell and write its record.

    A pickled copy holds the request alone. It opens the data from the cache with its first unit; the store of vectors
    must be filled.
    """

    def __init__(self, experiment: Computes):
        self._experiment: Computes | None = experiment
        self.kind: Any = type(experiment)
        self.request, self.environment = experiment.request, experiment.environment
        self.family = experiment.family
        self.device = experiment.device
        self._lines: list[str] = []
        need = (memory.peak() or 0) + experiment.cell_bytes
        free = min(memory.free("cpu"), 1e18)  # where it cannot be known, it is infinite
        self.at_once = 1 if self.device != "cpu" else int(max(1, free // max(need, 1)))

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without what belongs to this process: the opened experiment, and the engine."""
        environment = replace(self.environment, engine=create("engines", "local"))
        return {**self.__dict__, "environment": environment, "_experiment": None, "_lines": []}

    def __call__(self, unit: CellUnit, /) -> ComputedCell:
        """Compute one cell.

        Raises
        ------
        BenchError
            When the cell fails, or data or plugins are not those that the experiment began with.

        """
        self._experiment = experiment = self._experiment or self._opened()
        cell = experiment.cells[unit.index]
        draft = experiment.draft(cell)
        if unit != CellUnit(unit.index, str(cell), draft.inputs_sha256):
            raise BenchError("the data or a plugin changed since the run began. Start the same command again.")
        self._lines.clear()
        path, _ = experiment.compute(cell, draft)
        return ComputedCell(unit, path, tuple(self._lines))

    def _opened(self) -> Computes:
        """Open the experiment in another process; this prints nothing, because the first process did."""
        environment = replace(self.environment, device=self.device)
        experiment: Computes = self.kind(self.request, environment, Ui(log=self._lines.append))
        experiment.family = self.family
        experiment.check()
        experiment.read()
        return experiment


def computed(experiment: Computes, todo: Sequence[Any]) -> Generator[tuple[Path, Record], None, None]:
    """Compute cells on the engine, and yield their records in the order of `todo`.

    The order of what is printed does not depend on the engine: the lines of a cell appear once all cells before it
    are done. Finished cells are kept if another one fails or the iteration is closed.

    Raises
    ------
    BenchError
        When a cell fails, or the engine does not return all results.

    """
    if not todo:
        return
    log, started = experiment.ui.log, time.monotonic()
    place = {cell: index for index, cell in enumerate(experiment.cells)}
    units = [CellUnit(place[cell], str(cell), experiment.draft(cell).inputs_sha256) for cell in todo]

    def announce(done: int) -> None:
        if len(units) > 1:
            log(plan.progress(done, len(units), time.monotonic() - started))
        log(f"computing {units[done]}")

    work, engine = CellWork(experiment), experiment.environment.engine
    jobs = min(getattr(engine.settings, "jobs", 0), len(units))  # engines of other packages may have no such setting
    if jobs > work.at_once:
        why = "no more fit into the free memory" if work.device == "cpu" else "they share one GPU"
        log(f"note: {work.at_once} at once instead of {jobs} cells: {why}")
    announce(0)
    done, waiting = 0, dict[CellUnit, ComputedCell]()
    for result in engine.map(work, units):
        waiting[result.unit] = result
        while done < len(units) and (ready := waiting.pop(units[done], None)):
            for line in ready.lines:
                experiment.repeat(line)
            yield ready.path, records.read(ready.path)
            done += 1
            if done < len(units):
                announce(done)
    if done < len(units):
        raise BenchError(f"the engine {engine.name} returned no result for {units[done]}.")
