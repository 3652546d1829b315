"""What every engine must keep, checked with arithmetic in place of extraction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import BenchError
from bench.protocols import Engine
from bench.registry import create

UNITS = [[0, 1], [2], [3, 4, 5], [6], [7, 8], [9], [10]]


@dataclass
class Squares:
    """Work that squares numbers and says on which device; it refuses the number `refused`."""

    device: str = "cpu"
    refused: int | None = None
    broken: int | None = None
    at_once: int = 8

    def __call__(self, unit: Sequence[int], /) -> tuple[list[int], str]:
        """Return the squares of a unit, and the device."""
        if self.refused in unit:
            raise BenchError(f"the number {self.refused} is refused")
        if self.broken in unit:
            raise ZeroDivisionError(f"the number {self.broken} is broken")
        return [number**2 for number in unit], self.device


class EngineContract:
    """Inherit and set `spec`: what ``--engine`` takes."""

    spec: str = ""

    def make(self) -> Engine:
        """Return the engine."""
        return create("engines", self.spec)  # type: ignore[no-any-return]

    def note(self) -> str:
        """Say what was checked."""
        return f"{len(UNITS)} units of arithmetic"

    def test_it_declares_what_it_is(self) -> None:
        """A name, and how many units it works on at once."""
        engine = self.make()
        assert engine.name, "no name"
        assert engine.workers >= 1, f"{engine.workers} workers"

    def test_every_unit_is_done_once(self) -> None:
        """Results of all units, in any order, none twice; on a device that has a name."""
        found = list(self.make().map(Squares(), UNITS))
        wanted = sorted([number**2 for number in unit] for unit in UNITS)
        assert sorted(squares for squares, _ in found) == wanted, f"results {found}"
        assert all(device for _, device in found), f"no device in {found}"

    def test_an_iterator_of_units_is_enough(self) -> None:
        """Units may come from a generator; fewer than workers are fine, and so are none."""
        engine = self.make()
        assert [squares for squares, _ in engine.map(Squares(), iter(UNITS[:1]))] == [[0, 1]], "one unit"
        assert list(engine.map(Squares(), iter([]))) == [], "no units"

    def test_it_can_be_used_again(self) -> None:
        """An engine serves one set of vectors after the other."""
        engine = self.make()
        first, second = (sorted(squares for squares, _ in engine.map(Squares(), UNITS)) for _ in range(2))
        assert first == second, "the second time gave other results"

    def test_a_failure_reaches_the_caller_with_its_reason(self) -> None:
        """A BenchError of `work`, and any other exception, ends the iteration with what it said."""
        for work, reason in (
            (Squares(refused=3), "the number 3 is refused"),
            (Squares(broken=3), "the number 3 is broken"),
        ):
            said = "nothing"
            try:
                list(self.make().map(work, UNITS))
            except Exception as error:  # an engine may wrap what `work` raised
                said = str(error)
            assert reason in said, f"where work says {reason!r}, it says {said!r}"

    def test_it_can_be_stopped(self) -> None:
        """Closing the iteration after the first result returns."""
        results = iter(self.make().map(Squares(), UNITS))
        next(results)
        del results  # closes a generator
