"""A finished table, whatever it says: what every writer (Markdown, CSV, LaTeX, console, HTML) can set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """One place of a table."""

    text: str
    bold: bool = False
    value: float | None = None
    """The number behind the text, with every digit: for the CSV."""


@dataclass(frozen=True)
class Head:
    """What stands above a column: a heading, and the group that it shares with its neighbours."""

    heading: str
    group: str = ""
    right: bool = True


@dataclass(frozen=True)
class Section:
    """Rows under one title, which may be empty; a section without rows is not set."""

    title: str
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Grid:
    """A table with its title and the sentences below it.

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
    """Tables that belong together, with what must be read before and after them."""

    name: str
    title: str
    lead: Sequence[str]
    grids: Sequence[Grid]
    notes: Sequence[str] = ()
