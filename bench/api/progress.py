"""Output of the functions: as on the command line, and in a notebook as plain lines and a bar that moves in place."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from bench.cli.progress import ui as terminal
from bench.run.progress import Progress, Ui
from bench.terminal import say

EVERY = 0.2
"""Least seconds between two states of a bar in a notebook."""


def ui(*, quiet: bool) -> Ui:
    """Return the log function and progress bar for a notebook, if this is one, or for a terminal."""
    return Ui(log=say, bar=bar) if in_notebook() and not quiet else terminal(quiet=quiet)


def in_notebook() -> bool:
    """Whether the code runs in a notebook's kernel; a notebook has imported IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def bar(title: str, total: int) -> Iterator[Progress]:
    """Show the progress over `total` tracks below a notebook's cell: done, rate, remaining time, failures."""
    display: Any = sys.modules["IPython"].display.display
    started = shown = time.monotonic()
    last = (0, 0)
    handle = display(_Bar(title, 0, 0, total, 0.0), display_id=True)

    def update(done: int, failed: int) -> None:
        nonlocal shown, last
        last, now = (done, failed), time.monotonic()
        if now - shown > EVERY:
            shown = now
            handle.update(_Bar(title, done, failed, total, now - started))

    try:
        yield update
    finally:
        handle.update(_Bar(title, *last, total, time.monotonic() - started))


class _Bar:
    """One state of a bar, as HTML and as text."""

    def __init__(self, title: str, done: int, failed: int, total: int, seconds: float):
        self.title, self.done, self.total = title, done + failed, total
        rate = self.done / seconds if seconds else 0.0
        left = f", {(total - self.done) / rate:.0f} s left" if rate else ""
        self.text = f"{self.done} of {total} tracks, {rate:.1f}/s{left}, {failed} failed"

    def __repr__(self) -> str:
        return f"{self.title}: {self.text}"

    def _repr_html_(self) -> str:
        return (
            f'<label>{escape(self.title)} <progress max="{self.total}" value="{self.done}"></progress></label> '
            f"{escape(self.text)}"
        )
