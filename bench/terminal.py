"""Consoles and tables of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def console(least: int = 140) -> Console:
    """Return a console as wide as the terminal; in files and pipes of `least` columns or more."""
    from rich.console import Console

    made = Console()
    if not made.is_terminal:
        made.width = max(least, made.width)
    return made


def table(title: str, *columns: str) -> Table:
    """Return an empty table without lines."""
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
