"""A finished table that every writer (Markdown, CSV, LaTeX, console, HTML) can render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    bold: bool = False
    value: float | None = None
    """The number in full precision, for the CSV."""


@dataclass(frozen=True)
class Head:
    """The heading of a column, and the group that it shares with its neighbours.

    `room` is the maximum number of characters per line of a text on a terminal.
    """

    heading: str
    group: str = ""
    right: bool = True
    room: int = 24


@dataclass(frozen=True)
class Section:
    """Rows under one title, which may be empty; writers skip a section without rows."""

    title: str
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Grid:
    """A table with its title and the notes below it.

    `name` becomes part of file names and labels: small letters, digits and hyphens.
    """

    name: str
    title: str
    heads: Sequence[Head]
    sections: Sequence[Section]
    notes: Sequence[str] = field(default=())

    @property
    def rows(self) -> list[Sequence[Cell]]:
        """Rows of all sections."""
        return [row for section in self.sections for row in section.rows]


@dataclass(frozen=True)
class Chapter:
    """Tables that belong together, with the text before and after them."""

    name: str
    title: str
    lead: Sequence[str]
    grids: Sequence[Grid]
    notes: Sequence[str] = ()
