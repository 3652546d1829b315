"""How long commands speak."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

Progress = Callable[[int, int], None]


@dataclass
class Ui:
    """How a run speaks: lines, and a progress bar a step."""

    log: Callable[[str], None] = lambda line: print(line, file=sys.stderr)
    bar: Callable[[str, int], AbstractContextManager[Progress]] = lambda _title, _total: nullcontext(
        lambda _done, _failed: None
    )
