"""The request of ``bench probe`` and its cells, resolved and checked before any work."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.entries import NONE, ExtractorEntry, TaskEntry
from bench.errors import BenchError
from bench.probes import DEFAULT, ProbeEntry, resolve_probe
from bench.registry import get, names
from bench.resolver import Resolver
from bench.run.options import Request
from bench.run.text_vectors import check_text_space

ALL = "all"
OWN = "own"
"""Selects the tasks about the dataset's own tracks, for recipes whose root is the dataset's."""


@dataclass(frozen=True, kw_only=True)
class ProbeRequest(Request):
    """Everything that determines the numbers of a comparison on MIR tasks.

    tasks : specs, ``all`` for those with available data, or ``own`` for those about the dataset's own tracks
    root : the folder of the task's data, or a folder with a subfolder per task or collection
    probes : specs of probes
    layers : probe every layer of each extractor
    train_fraction : share of the training tracks that is used
    allow_leaks : compute cells with known leaks, with a warning in the record
    """

    tasks: tuple[str, ...]
    root: str | None = None
    probes: tuple[str, ...] = (DEFAULT,)
    layers: bool = False
    train_fraction: float = 1.0
    allow_leaks: bool = False

    @property
    def lenient(self) -> bool:
        """Whether tasks without available data are skipped instead of raising an error."""
        return ALL in self.tasks or OWN in self.tasks

    def task_specs(self) -> list[str]:
        """Return the specs of the requested tasks, with ``all`` and ``own`` expanded."""
        if OWN in self.tasks and ALL not in self.tasks:
            return [name for name in names("tasks") if get("tasks", name).of == "data"]
        return list(dict.fromkeys(names("tasks") if ALL in self.tasks else self.tasks))

    def of_cell(self, cell: ProbeCell) -> ProbeRequest:
        """Return the request that repeats one cell, without its controls."""
        return replace(
            self,
            tasks=(cell.task.text,),
            extractors=(cell.extractor.text,),
            probes=(cell.probe.text,),
            seeds=(cell.seed,),
            layers=False,
            controls=False,
        )


@dataclass(frozen=True)
class ProbeCell:
    """One cell of a comparison on a task: an extractor, a probe and a seed."""

    task: TaskEntry
    extractor: ExtractorEntry
    probe: ProbeEntry
    seed: int

    @property
    def control(self) -> bool:
        """Whether the cell is a control."""
        return self.extractor.control or self.extractor.empty

    def __str__(self) -> str:
        """Return a short name for messages."""
        return f"{self.task}: {self.extractor} x {self.probe}" + (f" (seed {self.seed})" if self.seed else "")


@dataclass(frozen=True)
class ResolvedProbes:
    """A probe request as typed entries: requested extractors, their controls, probes and tasks."""

    resolver: Resolver
    asked: list[ExtractorEntry]
    controls: list[ExtractorEntry]
    probes: list[ProbeEntry]
    tasks: list[TaskEntry]

    @property
    def extractors(self) -> list[ExtractorEntry]:
        """All extractors of a task's table, requested ones first."""
        return [*self.asked, *self.controls]


def resolve(request: ProbeRequest) -> ResolvedProbes:
    """Resolve every spec of a request, without reading any data.

    Raises
    ------
    BenchError
        For an unknown name, setting, layer, lane or treatment, and for conflicting options.

    """
    if not request.extractors or not request.tasks or not request.probes:
        raise BenchError("give at least one --extractor, one --task and one --probe.")
    if not 0 < request.train_fraction <= 1:
        raise BenchError(f"--train-fraction {request.train_fraction:g} must be above 0 and at most 1.")
    resolver = request.resolver()
    extractors = resolver.extractors(request.extractors, layers=False)
    asked = resolver.extractors(request.extractors, layers=request.layers or None)
    if any(NONE in extractor.names for extractor in extractors):
        raise BenchError("a probe needs vectors: give an --extractor other than none.")
    tasks = [resolver.task(text) for text in request.task_specs()]
    probes = list(dict.fromkeys(resolve_probe(text) for text in request.probes))
    for one in asked:
        if one.auto and (mixture := next((probe for probe in probes if probe.mixture), None)):
            raise BenchError(f"{one}: --probe {mixture} learns from all layers. Leave out layer=auto.")
    for probe in probes:
        if probe.prompt is not None:
            _check_texts(probe, asked, request.treat)
    return ResolvedProbes(resolver, asked, _controls(request, resolver, extractors, asked), probes, tasks)


def text_side(entry: ExtractorEntry) -> ExtractorEntry:
    """Return the entry whose vectors of texts belong to a table: the one behind a control, or the entry itself."""
    base = entry.components[0].base
    return base if entry.control and base is not None else entry


def _check_texts(probe: ProbeEntry, extractors: list[ExtractorEntry], treat: str) -> None:
    """Check that the vectors of every extractor can be compared with those of texts.

    Raises
    ------
    BenchError
        For an extractor or layer without vectors of texts, and for a treatment, which would move the tracks alone.

    """
    if treat:
        raise BenchError(f"probe {probe}: --treat {treat} would change the vectors of tracks and not those of texts.")
    for extractor in extractors:
        check_text_space(text_side(extractor))


def _controls(
    request: ProbeRequest, resolver: Resolver, extractors: list[ExtractorEntry], asked: list[ExtractorEntry]
) -> list[ExtractorEntry]:
    """Return the controls of every table: random vectors and shuffled rows.

    If every layer of an extractor is probed, only its default layer is shuffled: shuffled layers differ only in
    their width.
    """
    if not request.controls:
        return []
    found = [resolver.shuffled(one) for one in extractors if one.informed]
    found.append(resolver.extractor("random"))
    return [one for one in dict.fromkeys(found) if one not in asked]
