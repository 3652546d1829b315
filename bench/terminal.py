"""Consoles, tables and lines of the command line, in which no name from outside can control the terminal."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

from bench.text import one_line, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def say(message: object) -> None:
    """Print lines on the standard output."""
    print(visible(message), flush=True)


def note(message: object) -> None:
    """Print lines on the standard error, where what is no result goes."""
    print(visible(message), file=sys.stderr, flush=True)


def text(content: object, style: str = "") -> Text:
    """Return one line of text as it is: neither markup nor control characters count."""
    from rich.text import Text

    return Text(one_line(content), style=style)


def screen(file: TextIO | None = None) -> Console:
    """Return a console for the standard output, or another file, that treats a closed pipe as `print` does."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process with 1

    return Screen(file=file)


def console(least: int = 140) -> Console:
    """Return a console as wide as the terminal; in files and pipes of `least` columns or more, without blank ends."""
    made = screen()
    if not made.is_terminal:
        made = screen(cast("TextIO", _Trimmed(sys.stdout)))
        made.width = max(least, made.width)
    return made


class _Trimmed:
    """A text file that is written without blanks at the ends of lines."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write lines."""
        return self._file.write(re.sub(r" +(?=\n)", "", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def table(title: str, *columns: str) -> Table:
    """Return an empty table without lines; cells with names from outside are added by `row`."""
    from rich.table import Table

    made = Table(title=text(title, "table.title"), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(text(column), overflow="fold")
    return made


def row(table: Table, *cells: object) -> None:
    """Add a row of `text`."""
    table.add_row(*map(text, cells))
