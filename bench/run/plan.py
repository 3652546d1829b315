"""The plan printed before any work: missing parts, time, memory and disk space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.protocols import Estimate
from bench.text import duration, size


class Planned(Protocol):
    """A cell in a plan, which ``str`` turns into a name."""

    @property
    def control(self) -> bool:
        """Whether the cell is a control."""


SCORES = 256 * 2**20
AHEAD = 64 * 2**20


def cells(todo: Sequence[Planned], unchanged: int) -> list[str]:
    """Return lines that name the cells to compute and count the unchanged ones."""
    lines = []
    for control in (False, True):
        names = [str(cell) for cell in todo if cell.control is control]
        if names:
            lines.append(f"{'controls' if control else 'to compute'}: " + ", ".join(names))
    if unchanged:
        lines.append(f"unchanged: {unchanged} of {unchanged + len(todo)} cells")
    return lines


def progress(done: int, todo: int, seconds: float) -> str:
    """Return the progress line of the next cell: its number, and the remaining time at the mean speed so far."""
    left = f", about {duration(seconds / done * (todo - done))} left" if done else ""
    return f"cell {done + 1} of {todo}{left}"


def cell_bytes(n_items: int, width: int) -> int:
    """Return the peak memory of computing a cell in bytes, without the model: scores, and the item table.

    The table counts four times: itself, its normalised copy, and twice that during treatments.
    """
    return SCORES + AHEAD + 4 * 4 * n_items * width


def memory(n_items: int, width: int) -> str:
    """Return a line with the expected peak memory of this process, without the models' own weights."""
    return f"memory: about {size(450 * 2**20 + cell_bytes(n_items, width))}, beside the models' own weights"


def training(model: str, width: int, found: Estimate) -> str:
    """Return a line with the memory that a model's training needs, and the model's notes about it."""
    vectors = f"vectors of width {width}" if width else "vectors of its own"
    return "; ".join([f"training: {model} on {vectors}, about {size(found.bytes)} at the peak", *found.notes])
