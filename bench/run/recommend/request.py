"""The request of ``bench run`` and its cells, resolved and checked before any work."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from bench.entries import CONTROL_MODELS, NONE, ExtractorEntry, RecommenderEntry
from bench.errors import BenchError
from bench.resolver import Resolver, absolute
from bench.run.options import Request
from bench.specs import parse_sum


@dataclass(frozen=True, kw_only=True)
class RecommendRequest(Request):
    """Everything that determines the numbers of a comparison of recommenders.

    k : cut-offs, of which early stopping and tables use the first; empty for the dataset's default
    reference : the extractor whose space is used to measure intra-list diversity; None to skip it
    refit : train again on training and validation pairs, for the best number of epochs in validation
    """

    models: tuple[str, ...]
    split: str | None = None
    k: tuple[int, ...] = ()
    reference: str | None = None
    refit: bool = False

    def of_cell(self, cell: Cell) -> RecommendRequest:
        """Return the request that repeats one cell, without its controls."""
        return replace(
            self,
            extractors=(cell.extractor.text,),
            models=(cell.model.text,),
            seeds=(cell.seed,),
            reference=self._reference,
            controls=False,
        )

    @cached_property
    def _reference(self) -> str | None:
        """The reference with absolute paths, as in the other specs of a cell."""
        return self.reference and absolute("extractors", self.reference)


@dataclass(frozen=True, kw_only=True)
class FoldsRequest(RecommendRequest):
    """A comparison on several folds of one split, of which each has the records of a run of its own.

    folds : numbers of the folds; empty for all
    """

    folds: tuple[int, ...] = ()

    @classmethod
    def of(cls, request: RecommendRequest, folds: tuple[int, ...]) -> FoldsRequest:
        """Return the request for several folds of what `request` asks for."""
        return cls(**_values(request), folds=folds)

    def of_fold(self, split: str) -> RecommendRequest:
        """Return the request of one fold, given its split."""
        return RecommendRequest(**{**_values(self), "split": split})


def _values(request: RecommendRequest) -> dict[str, Any]:
    """Return the values of the fields that every comparison has, by name."""
    return {field.name: getattr(request, field.name) for field in fields(RecommendRequest)}


@dataclass(frozen=True)
class Cell:
    """One cell of a comparison: an extractor (or none), a recommender and a seed."""

    extractor: ExtractorEntry
    model: RecommenderEntry
    seed: int

    @property
    def control(self) -> bool:
        """Whether the cell is a control."""
        return self.extractor.control or self.model.control

    def __str__(self) -> str:
        """Return a short name for messages."""
        return f"{self.extractor} x {self.model}" + (f" (seed {self.seed})" if self.seed else "")


@dataclass(frozen=True)
class Resolved:
    """A request as typed entries.

    reference : the extractor whose space is used to measure intra-list diversity, or None
    left_out : pairs of extractor and model that cannot be computed, with the reason
    """

    resolver: Resolver
    extractors: list[ExtractorEntry]
    models: list[RecommenderEntry]
    reference: ExtractorEntry | None
    cells: list[Cell]
    left_out: list[str]


def resolve(request: RecommendRequest) -> Resolved:
    """Resolve every spec of a request, without reading any data.

    Raises
    ------
    BenchError
        For an unknown name, setting, layer, lane or treatment, and for conflicting options.

    """
    if not request.extractors or not request.models:
        raise BenchError("give at least one --extractor and one --model.")
    if any(k < 1 for k in request.k):
        raise BenchError(f"--k {','.join(map(str, request.k))}: every cut-off must be at least 1.")
    resolver = request.resolver()
    models = list(dict.fromkeys(resolver.recommender(text) for text in request.models))
    extractors = resolver.extractors(request.extractors)
    reference = _reference(request, resolver)
    refused = [model for model in models if "vectors" in model.plugin.needs]
    if refused and all(extractor.empty for extractor in extractors):
        raise BenchError(f"{refused[0].plugin.name} needs item vectors: give an --extractor other than none.")
    left_out = [
        f"{extractor} x {model}: {model.plugin.name} needs item vectors"
        for extractor in extractors
        for model in (refused if extractor.empty else [])
    ]
    return Resolved(resolver, extractors, models, reference, _cells(request, resolver, extractors, models), left_out)


def _reference(request: RecommendRequest, resolver: Resolver) -> ExtractorEntry | None:
    """Resolve the reference for diversity: the same in every lane, and corrected unless its spec names a lane."""
    if request.reference in (None, NONE):
        return None
    specs = [spec.with_default("lane", "corrected") for spec in parse_sum(str(request.reference))]
    found = resolver.extractor("+".join(map(str, specs)), treat="standardize")
    if found.auto:
        raise BenchError(f"--reference {request.reference}: name a layer; it is the same for every model.")
    return found


def _cells(
    request: RecommendRequest, resolver: Resolver, extractors: list[ExtractorEntry], models: list[RecommenderEntry]
) -> list[Cell]:
    """Return the cells of a request, requested ones first, then their controls, without duplicates.

    A model that needs no item table runs once, without a table. A deterministic cell runs with one seed.
    """
    found: dict[Cell, None] = {}
    none = resolver.extractor(NONE)

    def add(extractor: ExtractorEntry, model: RecommenderEntry) -> None:
        by_chance = extractor.random or not model.plugin.deterministic
        for seed in request.seeds if by_chance else request.seeds[:1]:
            found.setdefault(Cell(extractor, model, seed))

    for model in models:
        for extractor in extractors if model.takes_items else [none]:
            if not (extractor.empty and "vectors" in model.plugin.needs):
                add(extractor, model)
    if request.controls:
        for model in (model for model in models if model.takes_items):
            for extractor in extractors:
                if extractor.informed:
                    add(resolver.shuffled(extractor), model)
            add(resolver.extractor("random"), model)
        for name in CONTROL_MODELS:
            add(none, resolver.recommender(name))
    return list(found)
