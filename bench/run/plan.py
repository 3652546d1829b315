"""The plan that is printed before any work: what is missing, how long, how much memory and disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.errors import BenchError
from bench.protocols import Estimate
from bench.text import duration, size


class Planned(Protocol):
    """A cell as a plan sees it; its text names it."""

    @property
    def control(self) -> bool:
        """Whether it stands in the table only to be compared with."""


SCORES = 256 * 2**20
AHEAD = 64 * 2**20


def device(wanted: str) -> str:
    """Return the device to use; ``auto`` looks for a GPU. Imports torch.

    Raises
    ------
    BenchError
        When torch knows no such device, or a GPU is asked for that is not there.

    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return "cuda" if gpus else "cpu"
    try:
        asked = torch.device(wanted)
    except RuntimeError as error:
        raise BenchError(f"--device {wanted}: there is no such device. Use auto, cpu, cuda or cuda:1.") from error
    if asked.type == "cuda" and (asked.index or 0) >= gpus:
        raise BenchError(
            f"--device {wanted}: torch finds {gpus or 'no'} GPU here (see `bench doctor`). Use --device cpu."
        )
    return wanted


def cells(todo: Sequence[Planned], done: Sequence[Planned]) -> list[str]:
    """Return the lines that name the cells to compute."""
    lines = []
    for control in (False, True):
        names = [str(cell) for cell in todo if cell.control is control]
        if names:
            lines.append(f"{'controls' if control else 'to compute'}: " + ", ".join(names))
    if done:
        lines.append(f"unchanged: {len(done)} of {len(done) + len(todo)} cells")
    return lines


def progress(done: int, todo: int, seconds: float) -> str:
    """Return the line before the next cell: its number, and the time left if the others take as long as the mean."""
    left = f", about {duration(seconds / done * (todo - done))} left" if done else ""
    return f"cell {done + 1} of {todo}{left}"


def memory(n_items: int, width: int) -> str:
    """Return the peak this process should stay under, models' own weights apart."""
    tables = 4 * 4 * n_items * width  # the table, its normalised copy, and twice that while treating
    return f"memory: about {size(450 * 2**20 + SCORES + AHEAD + tables)}, beside the models' own weights"


def training(model: str, width: int, found: Estimate) -> str:
    """Return the line that says what a model's training takes, and what it will do about it."""
    vectors = f"vectors of width {width}" if width else "vectors of its own"
    return "; ".join([f"training: {model} on {vectors}, about {size(found.bytes)} at the peak", *found.notes])
