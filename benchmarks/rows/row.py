"""What a row is: the same work done by bench and by its peers, in turn, and a check that the results are equal."""

from __future__ import annotations

import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Work = Callable[[], Any]
PEERS = "pip install 'music-embedding-bench[peers]'"


@dataclass(frozen=True)
class Case:
    """Prepared work. Each function does its work once and returns what `check` compares.

    check : gets the last result of every side by name; returns a few words on how equal they are,
        with "worse" where bench's are worse than the row allows, which then misses its goal
    """

    bench: Work
    peers: Mapping[str, Work]
    check: Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Cost:
    """The result of a side that measures itself, as it runs in other processes or counts something else."""

    value: float
    result: Any = None


@dataclass(frozen=True)
class Row:
    """A row of the table.

    equal : what both sides do, in words
    goal : most that the ratio of bench to its best peer may be; with `limit`, of bench's own value instead
    sizes, tiny : arguments of `prepare`, for the table and for a quick trial
    seconds : about how long the row takes on two idle cores, all rounds together
    needs : module -> how to install it
    """

    name: str
    equal: str
    goal: float
    prepare: Callable[..., Case]
    sizes: Mapping[str, float]
    tiny: Mapping[str, float]
    seconds: int
    rounds: int = 3
    unit: str = "s"
    limit: bool = False
    default: bool = True
    needs: Mapping[str, str] = field(default_factory=dict)
    missing: Callable[[], str | None] = lambda: None

    def absent(self) -> str | None:
        """Return what to install before this row can run; None if all is there."""
        for module, remedy in self.needs.items():
            if importlib.util.find_spec(module) is None:
                return f"{module} is missing: {remedy}"
        return self.missing()


def cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system


def measure(row: Row, folder: Path, *, tiny: bool = False, rounds: int | None = None) -> dict[str, Any]:
    """Run every side in turn; return the medians by side, and what the check says.

    Work of tiny sizes comes first, as the first call of a library also loads and compiles.
    """
    (folder / "tiny").mkdir(parents=True)
    found = _turns(row.prepare(folder / "tiny", **row.tiny), 1)
    if not tiny:
        (folder / "full").mkdir()
        found = _turns(row.prepare(folder / "full", **row.sizes), rounds or row.rounds)
    return found


def _turns(case: Case, rounds: int) -> dict[str, Any]:
    sides = {"bench": case.bench, **case.peers}
    spent: dict[str, list[float]] = {name: [] for name in sides}
    results: dict[str, Any] = {}
    for _ in range(rounds):
        for name, work in sides.items():
            before = cpu()
            result = work()
            used = cpu() - before
            if isinstance(result, Cost):
                used, result = result.value, result.result
            spent[name].append(used)
            results[name] = result
    said = case.check(results)
    return {"spent": {name: statistics.median(values) for name, values in spent.items()}, "check": said}
