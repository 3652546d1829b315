"""Published comparisons: their tables in the printed order and precision, and footnotes about their numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from bench.errors import BenchError, did_you_mean

PAPERS = ("recsys2024", "journal2026")
"""Names of the papers, which are also the names of their splits."""

Kind = Literal["sizes", "split", "recommenders", "mir"]


@dataclass(frozen=True)
class Footnote:
    """A remark about published numbers: those that match all fields that are not None."""

    key: str
    text: str
    extractor: str | None = None
    model: str | None = None
    set: str | None = None
    task: str | None = None
    """A MIR task, or ``*`` for all of them."""
    artefact: bool = False
    """Whether the number results from a mistake and should not be reproduced."""

    @property
    def general(self) -> bool:
        """Whether the footnote applies to the complete paper."""
        return not (self.extractor or self.model or self.set or self.task)

    def concerns(self, extractor: str, *, model: str = "", set: str = "", task: str = "") -> bool:  # noqa: A002
        """Whether the footnote applies to this number; names are those of `bench`, not the printed ones."""
        if self.general or bool(self.task) != bool(task) or self.task not in (None, "*", task):
            return False
        matches = ((self.extractor, extractor), (self.model, model), (self.set, set))
        return all(wanted in (None, given) for wanted, given in matches)


@dataclass(frozen=True)
class Table:
    """One published table.

    The `rows` depend on the kind. sizes: (extractor, width); recommenders: (model, extractor, then ``[mean]`` or
    ``[mean, spread]`` for each metric); mir: (extractor, then a value or None for each task, then the value of
    the recommender); split: no rows, since the sizes are in `bench.splits.published`.
    """

    id: str
    kind: Kind
    title: str
    rows: Sequence[Sequence[Any]] = ()
    set: str = "hot"
    metrics: Sequence[str] = ()
    tasks: Sequence[tuple[str, str, str]] = ()
    """(task, metric, printed heading); task and metric have the names of `bench`."""
    recommender: tuple[str, str] | None = None
    """Printed model and metric of the last column of a mir table."""


@dataclass(frozen=True)
class Paper:
    """A paper, its tables and footnotes."""

    name: str
    title: str
    authors: str
    year: int
    where: str
    doi: str | None
    url: str
    data: str
    split: str
    decimals: int
    """Number of printed decimal places."""
    spread: str | None
    """Meaning of the ± of its numbers, if they have one."""
    extractors: Mapping[str, str]
    """Printed name -> name in `bench`; ``none`` for models that learn their own vectors."""
    models: Mapping[str, str]
    footnotes: Sequence[Footnote]
    tables: Sequence[Table]
    shuffled: str | None = None
    """Suffix of printed model names that marks shuffled vectors."""

    @property
    def citation(self) -> str:
        """Authors, year, venue, and DOI or URL."""
        found = f"doi {self.doi}" if self.doi else self.url
        return f"{self.authors} ({self.year}), {self.where}, {found}"


@cache
def paper(name: str) -> Paper:
    """Return a paper by name.

    Raises
    ------
    BenchError
        The name is not in `PAPERS`.

    """
    if name not in PAPERS:
        raise BenchError(f"no published numbers are called {name!r}.{did_you_mean(name, PAPERS)}")
    content = json.loads(files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    content["footnotes"] = tuple(Footnote(**note) for note in content["footnotes"])
    content["tables"] = tuple(Table(**table) for table in content["tables"])
    return Paper(**content)


def papers_of(splits: Iterable[tuple[str, str]]) -> list[Paper]:
    """Return the papers that used one of these pairs (data, split), in the order of `PAPERS`."""
    wanted = set(splits)
    return [found for found in map(paper, PAPERS) if (found.data, found.split) in wanted]
