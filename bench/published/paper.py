"""One published comparison: what it printed, in its own order and precision, and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from bench.errors import BenchError, did_you_mean

PAPERS = ("recsys2024", "journal2026")
"""Names of the papers, which are those of their splits."""

Kind = Literal["sizes", "split", "recommenders", "mir"]


@dataclass(frozen=True)
class Footnote:
    """What is known of some printed numbers: those that match every field that is not None."""

    key: str
    text: str
    extractor: str | None = None
    model: str | None = None
    set: str | None = None
    task: str | None = None
    """Of the MIR figures: a task, or ``*`` for all of them."""
    artefact: bool = False
    """Whether the number says more about a mistake than about the embedding: no target to reproduce."""

    @property
    def general(self) -> bool:
        """Whether it concerns the whole paper."""
        return not (self.extractor or self.model or self.set or self.task)

    def concerns(self, extractor: str, *, model: str = "", set: str = "", task: str = "") -> bool:  # noqa: A002
        """Whether it is about this number, names being those of `bench`, not the printed ones."""
        if self.general or bool(self.task) != bool(task) or self.task not in (None, "*", task):
            return False
        matches = ((self.extractor, extractor), (self.model, model), (self.set, set))
        return all(wanted in (None, given) for wanted, given in matches)


@dataclass(frozen=True)
class Table:
    """One printed table.

    `rows` are, by kind: sizes (extractor, width); recommenders (model, extractor, then ``[mean]`` or
    ``[mean, spread]`` per metric); mir (extractor, then a value or None per task, then the recommender's);
    split: none, for `bench.splits.published` holds the sizes.
    """

    id: str
    kind: Kind
    title: str
    rows: Sequence[Sequence[Any]] = ()
    set: str = "hot"
    metrics: Sequence[str] = ()
    tasks: Sequence[tuple[str, str, str]] = ()
    """(task, metric, printed heading), all in the names of `bench` but the last."""
    recommender: tuple[str, str] | None = None
    """Printed model and metric of the last column of a mir table."""


@dataclass(frozen=True)
class Paper:
    """A paper's tables."""

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
    """Places that were printed."""
    spread: str | None
    """What stands behind the ± of its numbers, if they have one."""
    extractors: Mapping[str, str]
    """Printed name -> name in `bench`; ``none`` where a model learnt its own vectors."""
    models: Mapping[str, str]
    footnotes: Sequence[Footnote]
    tables: Sequence[Table]
    shuffled: str | None = None
    """What a printed model's name ends in where the vectors were shuffled."""

    @property
    def citation(self) -> str:
        """Authors, year, place, and where to find it."""
        found = f"doi {self.doi}" if self.doi else self.url
        return f"{self.authors} ({self.year}), {self.where}, {found}"


@cache
def paper(name: str) -> Paper:
    """Return a paper by name.

    Raises
    ------
    BenchError
        For a name that is none of `PAPERS`.

    """
    if name not in PAPERS:
        raise BenchError(f"no published numbers are called {name!r}.{did_you_mean(name, PAPERS)}")
    content = json.loads(files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    content["footnotes"] = tuple(Footnote(**note) for note in content["footnotes"])
    content["tables"] = tuple(Table(**table) for table in content["tables"])
    return Paper(**content)


def papers_of(splits: Iterable[tuple[str, str]]) -> list[Paper]:
    """Return the papers that measured on any of these (data, split), in their own order."""
    wanted = set(splits)
    return [found for found in map(paper, PAPERS) if (found.data, found.split) in wanted]
