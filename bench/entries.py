"""Typed entries of the command line with their plugins, created by `bench.resolver`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from bench.errors import BenchError
from bench.protocols import Extractor, Lane, Recommender, TableSource, Task
from bench.registry import lane_of, origin
from bench.specs import Spec

CONTROL_EXTRACTORS = frozenset({"random", "gaussian", "shuffled"})
CONTROL_MODELS = ("popularity", "random")
ALL, AUTO = "all", "auto"
"""Values of ``layer=``: an entry for each layer, and the layer that validation chooses."""
NONE = "none"
"""Name of the extractor without vectors."""


@dataclass(frozen=True, eq=False)
class Component:
    """One extractor of an entry, that is, one summand of ``A+B``.

    layer : the layer in the spec, or ``auto``; None for the plugin's default
    pooling : the pooling in the spec, which the plugin has; None for the plugin's default
    base : the entry whose vectors a table source uses (`TableSource.of`), or None
    """

    spec: Spec
    plugin: Extractor | TableSource
    layer: str | None
    base: ExtractorEntry | None
    pooling: str | None = None

    @property
    def lane(self) -> Lane:
        """The lane the plugin was made for."""
        return lane_of(self.plugin)

    @property
    def origin(self) -> dict[str, Any]:
        """The package that the plugin came from, for the record."""
        return asdict(origin("extractors", self.spec.name))

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that changes the plugin's vectors; files are hashed once per run."""
        return self.plugin.fingerprint()

    @property
    def layer_used(self) -> str:
        """The layer whose vectors the item table uses; empty for a table source, which has no layers.

        Raises
        ------
        BenchError
            If validation is to choose it.

        """
        if isinstance(self.plugin, TableSource):
            return ""
        if self.layer == AUTO:
            raise BenchError(f"{self.spec}: `bench run` and `bench probe` choose a layer by validation. Name one here.")
        return self.layer or self.plugin.default_layer or next(reversed(list(self.plugin.layers)))


@dataclass(frozen=True, eq=False)
class ExtractorEntry:
    """One row of a comparison, ``A`` or ``A+B``: its extractors, and the treatment of its table.

    `text` is the spec as typed. `treat` is empty for an entry without vectors.
    """

    text: str
    components: tuple[Component, ...]
    treat: str = ""

    def __str__(self) -> str:
        """Return the spec as typed."""
        return self.text

    @property
    def names(self) -> list[str]:
        """Names of the extractors, in order."""
        return [one.spec.name for one in self.components]

    @property
    def lane(self) -> Lane | Literal["mixed"]:
        """The lane of all its extractors, or ``mixed``."""
        lanes = {one.lane for one in self.components}
        return lanes.pop() if len(lanes) == 1 else "mixed"

    @property
    def trained_on(self) -> list[str]:
        """Sorted names of the catalogues on which its models were trained."""
        return sorted({name for one in self.components for name in one.plugin.trained_on})

    def caveats(self, *, builtin: bool) -> list[str]:
        """Return what readers of its results must know; `builtin`: of data that the project synthesises itself."""
        made = [one.spec.name for one in self.components if one.plugin.synthetic]
        if builtin or not made:
            return []
        return [
            f"{', '.join(made)} has heard synthesised music alone: its results stay off leaderboards. Train it on real "
            "music with `bench train`."
        ]

    @property
    def auto(self) -> bool:
        """Whether validation chooses its layer, or that of the entry behind a control."""
        return any(one.layer == AUTO or (one.base is not None and one.base.auto) for one in self.components)

    @property
    def layer(self) -> str:
        """The layer of its first extractor, or of the one behind a control; see `Component.layer_used`."""
        first = self.components[0]
        return first.base.layer if first.base else first.layer_used

    @property
    def empty(self) -> bool:
        """Whether the entry has no vectors."""
        return self.names == [NONE]

    @property
    def control(self) -> bool:
        """Whether it is a control, with random or shuffled vectors."""
        return self.names[0] in CONTROL_EXTRACTORS

    @property
    def informed(self) -> bool:
        """Whether it has vectors and all of them describe the music, without controls."""
        return not CONTROL_EXTRACTORS.union({NONE}).intersection(self.names)

    @property
    def random(self) -> bool:
        """Whether its table depends on the seed."""
        return bool(CONTROL_EXTRACTORS.intersection(self.names)) or "random_projection" in self.treat

    @cached_property
    def behind(self) -> tuple[Component, ...]:
        """Every extractor whose vectors it needs, including those behind controls; each plugin once."""
        found: dict[int, Component] = {}
        waiting = list(self.components)
        while waiting:
            one = waiting.pop(0)
            found.setdefault(id(one.plugin), one)
            waiting += one.base.components if one.base else ()
        return tuple(found.values())

    @property
    def audio(self) -> list[Extractor]:
        """The extractors behind it that read audio."""
        return [one.plugin for one in self.behind if isinstance(one.plugin, Extractor)]


@dataclass(frozen=True, eq=False)
class RecommenderEntry:
    """A recommender as typed, with an untrained plugin."""

    text: str
    spec: Spec
    plugin: Recommender

    def __str__(self) -> str:
        """Return the spec as typed."""
        return self.text

    @property
    def lane(self) -> Lane:
        """The lane the plugin was made for."""
        return lane_of(self.plugin)

    @property
    def origin(self) -> dict[str, Any]:
        """The package that the plugin came from, for the record."""
        return asdict(origin("recommenders", self.spec.name))

    @property
    def takes_items(self) -> bool:
        """Whether it runs once for every extractor."""
        return "items" in self.plugin.needs

    @property
    def control(self) -> bool:
        """Whether it is a control, which does not learn user preferences."""
        return self.spec.name in CONTROL_MODELS

    def fresh(self) -> Recommender:
        """Return a new copy for fitting."""
        return copy.deepcopy(self.plugin)


@dataclass(frozen=True, eq=False)
class TaskEntry:
    """An MIR task as typed."""

    text: str
    spec: Spec
    plugin: Task

    @property
    def origin(self) -> dict[str, Any]:
        """The package that the plugin came from, for the record."""
        return asdict(origin("tasks", self.spec.name))

    def __str__(self) -> str:
        """Return the spec as typed."""
        return self.text


def audio_extractors(entries: Iterable[ExtractorEntry]) -> list[Extractor]:
    """Return every extractor behind the entries that reads audio, each once."""
    return list({id(plugin): plugin for entry in entries for plugin in entry.audio}.values())


def table_sources(entry: ExtractorEntry) -> Iterator[Component]:
    """Iterate over the components behind an entry whose vectors need no audio."""
    return (one for one in entry.behind if isinstance(one.plugin, TableSource))
