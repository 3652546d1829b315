"""Where extraction runs. The local engine is this process; a cluster's engine is a plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from bench.protocols import Done, Engine, Unit


class Local(Engine):
    """One unit of work after the other, in this process; each overlaps decoding and the model itself."""

    name = "local"

    def map(self, work: Callable[[Unit], Done], units: Iterable[Unit]) -> Iterator[Done]:
        """Yield ``work(unit)`` for each unit, in order."""
        return map(work, units)
