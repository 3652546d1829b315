"""What ``bench probe`` is asked for, checked before any work, and the cells that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bench import treatments
from bench.errors import BenchError
from bench.items import audio_extractors
from bench.probes import DEFAULT
from bench.protocols import LANES, Lane, TableSource
from bench.registry import create, get, names
from bench.run.recommend.request import CONTROL_EXTRACTORS, Data, check_layer
from bench.specs import Spec, parse_sum

ALL = "all"
OWN = "own"
"""Of all tasks those about the dataset's own tracks: what a recipe asks, whose root is the dataset's."""


@dataclass(frozen=True)
class ProbeRequest:
    """Everything that decides the numbers of a comparison on MIR tasks.

    tasks : specs, or ``all``: those whose data is there; ``own``: those of them about the dataset's own tracks
    root : the folder of the tasks' data; or of several, each below it under the task's or collection's name
    probes : specs of probes
    layers : probe every layer of each extractor
    train_fraction : share of the training tracks that is used
    allow_leaks : measure what is known to leak, with a warning in the record
    """

    data: Data
    extractors: tuple[str, ...]
    tasks: tuple[str, ...]
    root: str | None = None
    probes: tuple[str, ...] = (DEFAULT,)
    layers: bool = False
    seeds: tuple[int, ...] = (0,)
    train_fraction: float = 1.0
    lane: Lane = "corrected"
    treat: str = ""
    controls: bool = True
    allow_leaks: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the record."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> ProbeRequest:
        """Read what `as_json` wrote."""
        try:
            lists = {name: tuple(content[name]) for name in ("extractors", "tasks", "probes", "seeds")}
            return ProbeRequest(**{**content, **lists, "data": Data(**content["data"])})
        except (KeyError, TypeError) as error:
            raise BenchError(f"the record does not say what was asked ({error}); it cannot be repeated.") from error

    def checked(self) -> ProbeRequest:
        """Validate every spec, layer, treatment and number without reading any data."""
        if not self.extractors or not self.tasks or not self.probes:
            raise BenchError("give at least one --extractor, one --task and one --probe.")
        if self.lane not in LANES:
            raise BenchError(f"--lane {self.lane} is not one of {', '.join(LANES)}.")
        if not 0 < self.train_fraction <= 1:
            raise BenchError(f"--train-fraction {self.train_fraction:g} must be above 0 and at most 1.")
        treatments.parse(self.treat)
        audio_extractors(self.extractors, self.plugin)
        for text in self.extractors:
            specs = parse_sum(text)
            for spec in specs:
                check_layer(spec, self.plugin)
            if any(spec.name == "none" for spec in specs):
                raise BenchError("a probe needs vectors: give an --extractor other than none.")
            if self.layers and len(specs) > 1:
                raise BenchError(f"--layers all: {text} joins tables; give its parts one by one.")
        if not self.lenient:
            for task in self.tasks:
                create("tasks", task, lane=self.lane)
        return self

    def plugin(self, spec: Spec) -> Any:
        """Make the extractor of a spec (its layer is a view) in the run's lane."""
        return create("extractors", spec.without("layer"), lane=self.lane)

    def task_specs(self) -> list[str]:
        """Return the tasks that are asked for, ``all`` spelled out."""
        if OWN in self.tasks and ALL not in self.tasks:
            return [name for name in names("tasks") if get("tasks", name).of == "data"]
        return list(dict.fromkeys(names("tasks") if ALL in self.tasks else self.tasks))

    @property
    def lenient(self) -> bool:
        """Whether a task whose data is not there is left out instead of refused."""
        return ALL in self.tasks or OWN in self.tasks

    def vectors(self) -> list[str]:
        """Return the extractor entries, each layer by itself where all are asked for."""
        if not self.layers:
            return list(dict.fromkeys(self.extractors))
        return list(dict.fromkeys(layer for text in self.extractors for layer in layers(text, self.plugin)))


def layers(text: str, make: Callable[[Spec], Any]) -> list[str]:
    """Return an entry for each layer of an extractor, or of the one whose rows a control shuffles.

    An entry that names its layer, joins tables or has none stays as it is.
    """
    specs = parse_sum(text)
    spec = specs[0]
    plugin = make(spec)
    if len(specs) > 1 or "layer" in spec.settings:
        return [text]
    if isinstance(plugin, TableSource):
        of = plugin.of
        return [str(Spec(spec.name, {**spec.settings, "of": one})) for one in layers(of, make)] if of else [text]
    if len(plugin.layers) < 2:
        return [text]
    return [str(spec.with_default("layer", layer)) for layer in plugin.layers]


@dataclass(frozen=True)
class ProbeCell:
    """One line of a comparison on a task: an extractor, a probe and a seed."""

    task: str
    extractor: str
    probe: str
    seed: int

    @property
    def control(self) -> bool:
        """Whether it stands in the table only to be compared with."""
        return parse_sum(self.extractor)[0].name in CONTROL_EXTRACTORS | {"none"}

    def __str__(self) -> str:
        """Return a short name for messages."""
        return f"{self.task}: {self.extractor} x {self.probe}" + (f" (seed {self.seed})" if self.seed else "")


@dataclass
class Lines:
    """The entries of a task's table: those asked for, and their controls."""

    asked: list[str]
    controls: list[str] = field(default_factory=list)


def lines(request: ProbeRequest) -> Lines:
    """Return the extractor entries of every table: random vectors and shuffled rows are always among them.

    Of an extractor whose every layer is probed, the rows of the default layer are shuffled: where what a
    row says is lost, layers differ in width alone.
    """
    out = Lines(request.vectors())
    if request.controls:
        for text in request.extractors:
            if not {spec.name for spec in parse_sum(text)} & CONTROL_EXTRACTORS:
                out.controls.append(str(Spec("shuffled", {"of": text})))
        out.controls.append("random")
    out.controls = [text for text in dict.fromkeys(out.controls) if text not in out.asked]
    return out


def cells(request: ProbeRequest, task: str, probes: tuple[str, ...]) -> list[ProbeCell]:
    """Return the cells of one task, the asked ones first."""
    entries = lines(request)
    every = [*entries.asked, *entries.controls]
    return [ProbeCell(task, text, probe, seed) for probe in probes for text in every for seed in request.seeds]


def of_cell(request: ProbeRequest, cell: ProbeCell) -> ProbeRequest:
    """Return the request that repeats one cell, without its controls."""
    return replace(
        request,
        tasks=(cell.task,),
        extractors=(cell.extractor,),
        probes=(cell.probe,),
        seeds=(cell.seed,),
        layers=False,
        controls=False,
    )
