"""The engine `local`: this machine."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.extract.processes import in_processes
from bench.machine import cores
from bench.protocols import Done, Engine, Unit, Work

START = 5.0
"""CPU seconds of a further process before its first unit: 2 to 3 to import torch, the others to open the data."""
SHARE = 0.05
"""Further processes may cost this share of the CPU seconds of the work that they take over."""


@dataclass(frozen=True)
class LocalSettings:
    """How many processes compute cells.

    jobs : number of processes; 1: this one alone; 0: as many as pay off, see `Local`
    """

    jobs: int = 0

    def __post_init__(self) -> None:
        """Raise an error for a negative number."""
        if self.jobs < 0:
            raise ValueError("jobs must be positive, or 0 for as many as pay off")


class Local(Engine):
    """One unit of work after the other in this process, or several at once on this machine (``jobs=N``).

    There are never more processes than units, or than the work allows at once (`Work.at_once`: one on a GPU and for
    extraction; else what fits into the free memory). The processes share the cores: each starts cores / N threads.

    By default work begins in this process. Before each unit, the CPU seconds of the remaining ones are estimated by
    the mean of those that are done. Once further processes would cost at most a twentieth of that, the remaining
    units go to as many processes as there are cores. Work of less than 200 CPU seconds therefore stays in this process.
    """

    Settings: ClassVar[type[Any]] = LocalSettings
    name = "local"
    settings: LocalSettings

    def map(self, work: Work[Unit, Done], units: Iterable[Unit]) -> Iterator[Done]:
        """Yield ``work(unit)`` for each unit; in order as long as this process computes them."""
        if self.settings.jobs == 1 or work.at_once == 1:
            yield from map(work, units)
            return
        todo, done, spent = deque(units), 0, 0.0
        while todo:
            jobs = self.settings.jobs or worthwhile(spent / max(done, 1) * len(todo))
            jobs = min(jobs, work.at_once, len(todo))
            if jobs > 1:
                threads = max(1, cores() // jobs)
                yield from in_processes(work, todo, [work.device] * jobs, retry=False, threads=threads)
                return
            started = time.process_time()
            found = work(todo.popleft())
            done, spent = done + 1, spent + time.process_time() - started
            yield found


def worthwhile(seconds: float) -> int:
    """Return how many processes may share work of so many CPU seconds; see `START` and `SHARE`."""
    return max(1, min(cores(), int(SHARE * seconds / START)))
