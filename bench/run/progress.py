"""How long commands speak."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from bench.terminal import note

Progress = Callable[[int, int], None]


@dataclass
class Ui:
    """How a run speaks: lines, and a progress bar a step."""

    log: Callable[[str], None] = note
    bar: Callable[[str, int], AbstractContextManager[Progress]] = lambda _title, _total: nullcontext(
        lambda _done, _failed: None
    )
