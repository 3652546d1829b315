"""Output on stderr and its verbosity: log lines, and a progress bar with rate, remaining time and failures."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.run.progress import Progress, Ui
from bench.terminal import note
from bench.text import one_line

EVERY = 15.0
"""Seconds between progress lines if stderr is not a terminal."""


def ui(*, quiet: bool) -> Ui:
    """Return the log function and progress bar; with `quiet`, nothing is logged."""
    if quiet:
        return Ui(log=lambda _line: None)
    return Ui(log=note, bar=bar)


@contextmanager
def bar(title: str, total: int) -> Iterator[Progress]:
    """Show the progress over `total` tracks: done, rate, remaining time, failures."""
    progress = _Terminal(title, total) if sys.stderr.isatty() else _Lines(title, total)
    try:
        yield progress.update
    finally:
        progress.close()


class _Lines:
    """Progress lines, for log files."""

    def __init__(self, title: str, total: int):
        self._title, self._total, self._start = title, total, time.monotonic()
        self._last, self._now = self._start, (0, 0)

    def update(self, done: int, failed: int) -> None:
        self._now = (done, failed)
        if time.monotonic() - self._last > EVERY:
            self._print()

    def close(self) -> None:
        self._print()

    def _print(self) -> None:
        self._last = time.monotonic()
        done, failed = self._now
        spent = self._last - self._start
        rate = (done + failed) / spent if spent else 0.0
        left = (self._total - done - failed) / rate if rate else 0.0
        note(
            f"{self._title}: {done + failed} of {self._total} tracks, {rate:.1f}/s, {left:.0f} s left, {failed} failed"
        )


class _Terminal:
    """A rich progress bar."""

    def __init__(self, title: str, total: int):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._start = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f}/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]} failed"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(one_line(title), total=total, failed=0, rate=0.0)
        self._progress.start()

    def update(self, done: int, failed: int) -> None:
        rate = (done + failed) / max(time.monotonic() - self._start, 1e-9)
        self._progress.update(self._task, completed=done + failed, failed=failed, rate=rate)

    def close(self) -> None:
        self._progress.stop()
