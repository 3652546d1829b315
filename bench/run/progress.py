"""Progress output of long commands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from bench.terminal import note

Progress = Callable[[int, int], None]


@dataclass
class Ui:
    """Output of a run: log lines, and a progress bar for each step."""

    log: Callable[[str], None] = note
    bar: Callable[[str, int], AbstractContextManager[Progress]] = lambda _title, _total: nullcontext(
        lambda _done, _failed: None
    )
