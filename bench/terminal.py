"""Consoles, tables and lines of the command line, in which no name from outside can control the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

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


def console(least: int = 140) -> Console:
    """Return a console as wide as the terminal; in files and pipes of `least` columns or more."""
    from rich.console import Console

    made = Console()
    if not made.is_terminal:
        made.width = max(least, made.width)
    return made


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
