"""What a user asks for, checked before anything else happens, and small enough to stand in a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bench import treatments
from bench.errors import BenchError
from bench.items import audio_extractors
from bench.protocols import LANES, Lane, TableSource
from bench.registry import create
from bench.specs import Spec, parse, parse_sum

CONTROL_EXTRACTORS = frozenset({"random", "gaussian", "shuffled"})
CONTROL_MODELS = frozenset({"popularity", "random"})


@dataclass(frozen=True)
class Data:
    """Which tracks and which listening.

    data : a dataset's name; or `listens` with optional `columns`, `audio` (folder or list) and `meta`
    """

    data: str | None = None
    root: str | None = None
    listens: str | None = None
    columns: str | None = None
    audio: str | None = None
    meta: str | None = None


@dataclass(frozen=True)
class Request:
    """Everything that decides the numbers of a run.

    k : cut-offs, the first being the one that early stopping and tables look at; empty: the dataset's
    reference : the extractor in whose space diversity within lists is measured; None: not measured
    refit : train anew on training and validation pairs, for the epochs that validation found best
    """

    data: Data
    extractors: tuple[str, ...]
    models: tuple[str, ...]
    split: str | None = None
    k: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0,)
    lane: Lane = "corrected"
    treat: str = ""
    reference: str | None = "mfcc"
    controls: bool = True
    refit: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the record."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Request:
        """Read what `as_json` wrote."""
        try:
            lists = {name: tuple(content[name]) for name in ("extractors", "models", "k", "seeds")}
            return Request(**{**content, **lists, "data": Data(**content["data"])})
        except (KeyError, TypeError) as error:
            raise BenchError(f"the record does not say what was asked ({error}); it cannot be repeated.") from error

    def checked(self) -> Request:
        """Validate every spec, setting, layer, treatment and number without reading any data."""
        if not self.extractors or not self.models:
            raise BenchError("give at least one --extractor and one --model.")
        if self.lane not in LANES:
            raise BenchError(f"--lane {self.lane} is not one of {', '.join(LANES)}.")
        if any(k < 1 for k in self.k):
            raise BenchError(f"--k {','.join(map(str, self.k))}: every cut-off must be at least 1.")
        treatments.parse(self.treat)
        models = [create("recommenders", text, lane=self.lane) for text in self.models]
        audio_extractors([*self.extractors, *([self.space] if self.space else [])], self.plugin)
        for text in self.extractors:
            names = {spec.name for spec in parse_sum(text)}
            for spec in parse_sum(text):
                check_layer(spec, self.plugin)
            for model in models:
                if names == {"none"} and "vectors" in model.needs:
                    raise BenchError(f"{model.name} needs item vectors: give an --extractor other than none.")
        return self

    @property
    def space(self) -> str | None:
        """The spec of `reference`; a yardstick is the same in every lane: corrected, unless it names one."""
        if self.reference in (None, "none"):
            return None
        assert self.reference
        return "+".join(str(spec.with_default("lane", "corrected")) for spec in parse_sum(self.reference))

    def plugin(self, spec: Spec) -> Any:
        """Make the extractor of a spec (its layer is a view) in the run's lane."""
        return create("extractors", spec.without("layer"), lane=self.lane)


@dataclass(frozen=True)
class Place:
    """Where and how the work is done: but for `max_time` nothing here changes the numbers beyond a tolerance."""

    cache: Path
    results: Path = Path("results")
    device: str = "auto"
    dtype: str = "float32"
    batch: int = 16
    workers: int | None = None
    retry_failed: bool = False
    again: bool = False
    max_time: float | None = None
    """Seconds after which each training ends; what such a record says holds for this time alone."""
    log_dir: Path | None = None
    """Where training curves go; None: beside the checkpoints, which are removed with the record written."""


@dataclass(frozen=True)
class Cell:
    """One line of a comparison: an extractor (or none) and a model, at one seed."""

    extractor: str
    model: str
    seed: int

    @property
    def control(self) -> bool:
        """Whether it stands in the table only to be compared with."""
        return parse_sum(self.extractor)[0].name in CONTROL_EXTRACTORS or parse(self.model).name in CONTROL_MODELS

    def __str__(self) -> str:
        """Return a short name for messages."""
        return f"{self.extractor} x {self.model}" + (f" (seed {self.seed})" if self.seed else "")


def cells(request: Request) -> list[Cell]:
    """Return the cells of a request, the asked ones first, then their controls, each once.

    A model that needs no item table runs once, with none. What no seed can change runs at one seed.
    """
    found: dict[Cell, None] = {}

    @cache
    def made(model: str) -> Any:
        return create("recommenders", model, lane=request.lane)

    def add(extractor: str, model: str) -> None:
        plugin = made(model)
        by_chance = not plugin.deterministic or any(s.name in CONTROL_EXTRACTORS for s in parse_sum(extractor))
        by_chance = by_chance or "random_projection" in request.treat
        for seed in request.seeds if by_chance else request.seeds[:1]:
            found.setdefault(Cell(extractor, model, seed))

    def takes_items(model: str) -> bool:
        return "items" in made(model).needs

    for model in request.models:
        for extractor in request.extractors if takes_items(model) else ("none",):
            add(extractor, model)
    if request.controls:
        for model in filter(takes_items, request.models):
            for extractor in request.extractors:
                names = {spec.name for spec in parse_sum(extractor)}
                if not names & (CONTROL_EXTRACTORS | {"none"}):
                    add(str(Spec("shuffled", {"of": extractor})), model)
            add("random", model)
        for model in sorted(CONTROL_MODELS):
            add("none", model)
    return list(found)


def check_layer(spec: Spec, make: Callable[[Spec], Any]) -> None:
    """Refuse a layer that the extractor of a spec does not have."""
    layer = spec.settings.get("layer")
    if layer is None:
        return
    plugin = make(spec)
    if isinstance(plugin, TableSource):
        raise BenchError(f"{spec}: {spec.name} has no layers.")
    if layer not in plugin.layers:
        raise BenchError(f"{spec}: there is no layer {layer!r}; {spec.name} has {', '.join(plugin.layers)}.")


def of_cell(request: Request, cell: Cell) -> Request:
    """Return the request that repeats one cell, without its controls."""
    return replace(request, extractors=(cell.extractor,), models=(cell.model,), seeds=(cell.seed,), controls=False)
