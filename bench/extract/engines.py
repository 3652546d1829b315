"""The engine `local`: this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.protocols import Done, Engine, Unit, Work


class Local(Engine):
    """One unit of work after the other, in this process; each overlaps decoding and the model itself."""

    name = "local"

    def map(self, work: Work[Unit, Done], units: Iterable[Unit]) -> Iterator[Done]:
        """Yield ``work(unit)`` for each unit, in order."""
        return map(work, units)
