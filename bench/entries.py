"""What a user names on the command line, resolved once: extractor entries and recommenders with their plugins.

A request keeps the texts that a record repeats. Everything below it works with the typed entries of this module:
no spec is parsed again, and no plugin is made twice for one setting.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from bench import treatments
from bench.errors import BenchError
from bench.protocols import Extractor, Lane, Recommender, TableSource, Task
from bench.registry import Kind, create, lane_of, origin
from bench.specs import Spec, parse, parse_sum

CONTROL_EXTRACTORS = frozenset({"random", "gaussian", "shuffled"})
CONTROL_MODELS = ("popularity", "random")
NONE = "none"
"""The extractor without vectors."""


@dataclass(frozen=True, eq=False)
class Component:
    """One extractor of an entry: what stands between two plus signs.

    layer : the layer that the spec names; None: the plugin's default
    base : the entry whose vectors a table source reads (`TableSource.of`), or None
    """

    spec: Spec
    plugin: Extractor | TableSource
    layer: str | None
    base: ExtractorEntry | None

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
        """Everything that changes the plugin's vectors; hashed files are read once a run."""
        return self.plugin.fingerprint()

    @property
    def layer_used(self) -> str:
        """The layer whose vectors the item table takes; empty for a table source, which has none."""
        if isinstance(self.plugin, TableSource):
            return ""
        return self.layer or self.plugin.default_layer or next(reversed(list(self.plugin.layers)))


@dataclass(frozen=True, eq=False)
class ExtractorEntry:
    """One row of a comparison, ``A`` or ``A+B``: its extractors, and the treatment of its table.

    `text` is the spec as typed. `treat` is empty where there are no vectors to treat.
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
    def lane(self) -> str:
        """The lane of all its extractors, or ``mixed``."""
        lanes = {one.lane for one in self.components}
        return lanes.pop() if len(lanes) == 1 else "mixed"

    @property
    def trained_on(self) -> list[str]:
        """The catalogues that any of its models was trained on, sorted."""
        return sorted({name for one in self.components for name in one.plugin.trained_on})

    @property
    def empty(self) -> bool:
        """Whether this is the table without vectors."""
        return self.names == [NONE]

    @property
    def control(self) -> bool:
        """Whether its vectors know nothing of the music: random, or in random order."""
        return self.names[0] in CONTROL_EXTRACTORS

    @property
    def informed(self) -> bool:
        """Whether all its vectors describe the music: no part is a control, and there are some."""
        return not CONTROL_EXTRACTORS.union({NONE}).intersection(self.names)

    @property
    def random(self) -> bool:
        """Whether a seed changes its table."""
        return bool(CONTROL_EXTRACTORS.intersection(self.names)) or "random_projection" in self.treat

    @cached_property
    def behind(self) -> tuple[Component, ...]:
        """Every extractor whose vectors it needs, those that controls imitate included; each plugin once."""
        found: dict[int, Component] = {}
        waiting = list(self.components)
        while waiting:
            one = waiting.pop(0)
            found.setdefault(id(one.plugin), one)
            waiting += one.base.components if one.base else ()
        return tuple(found.values())

    @property
    def audio(self) -> list[Extractor]:
        """The extractors behind it that listen to audio."""
        return [one.plugin for one in self.behind if isinstance(one.plugin, Extractor)]


@dataclass(frozen=True, eq=False)
class RecommenderEntry:
    """A recommender as typed, with a plugin that has learnt nothing."""

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
        """Whether it is run once for every extractor."""
        return "items" in self.plugin.needs

    @property
    def control(self) -> bool:
        """Whether it recommends without learning anybody's taste."""
        return self.spec.name in CONTROL_MODELS

    def fresh(self) -> Recommender:
        """Return a copy to fit."""
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


class Resolver:
    """Turns the specs of one request into entries, and makes every plugin once.

    Parameters
    ----------
    lane : of plugins whose spec names none
    treat : of the tables of extractor entries, such as ``l2+pca:128``

    """

    def __init__(self, lane: Lane = "corrected", treat: str = ""):
        treatments.parse(treat)  # a wrong one is refused here
        self.lane, self.treat = lane, treat
        self._plugins: dict[tuple[Kind, str, str], Any] = {}
        self._extractors: dict[tuple[str, str], ExtractorEntry] = {}
        self._recommenders: dict[str, RecommenderEntry] = {}
        self._tasks: dict[str, TaskEntry] = {}

    def extractor(self, text: str, *, treat: str | None = None) -> ExtractorEntry:
        """Resolve ``A`` or ``A+B``.

        Raises
        ------
        BenchError
            For an unknown name, setting or lane, and for a layer that the extractor lacks.

        """
        specs = parse_sum(text)
        treat = self.treat if treat is None else treat
        if [spec.name for spec in specs] == [NONE]:
            treat = ""
        if (text, treat) not in self._extractors:
            components = tuple(self._component(spec) for spec in specs)
            self._extractors[text, treat] = ExtractorEntry(text, components, treat)
        return self._extractors[text, treat]

    def extractors(self, texts: Iterable[str]) -> list[ExtractorEntry]:
        """Resolve several, each once."""
        return list(dict.fromkeys(self.extractor(text) for text in texts))

    def recommender(self, text: str) -> RecommenderEntry:
        """Resolve a recommender; raise BenchError for an unknown name, setting or lane."""
        if text not in self._recommenders:
            spec = parse(text)
            self._recommenders[text] = RecommenderEntry(text, spec, self._plugin("recommenders", spec))
        return self._recommenders[text]

    def task(self, text: str) -> TaskEntry:
        """Resolve an MIR task; raise BenchError for an unknown name, setting or lane."""
        if text not in self._tasks:
            spec = parse(text)
            self._tasks[text] = TaskEntry(text, spec, self._plugin("tasks", spec))
        return self._tasks[text]

    def layers(self, entry: ExtractorEntry) -> list[ExtractorEntry]:
        """Return an entry for each layer of an extractor, or of the one whose rows a control shuffles.

        An entry that names its layer, joins tables or has one layer stays as it is.
        """
        first = entry.components[0]
        if len(entry.components) > 1 or first.layer is not None:
            return [entry]
        if isinstance(first.plugin, TableSource):
            if first.base is None:
                return [entry]
            texts = [{**first.spec.settings, "of": one.text} for one in self.layers(first.base)]
            return [self.extractor(str(Spec(first.spec.name, settings))) for settings in texts]
        if len(first.plugin.layers) < 2:
            return [entry]
        return [self.extractor(str(first.spec.with_default("layer", layer))) for layer in first.plugin.layers]

    def shuffled(self, entry: ExtractorEntry) -> ExtractorEntry:
        """Return the control that shuffles the rows of an entry's table."""
        return self.extractor(str(Spec("shuffled", {"of": entry.text})))

    def _component(self, spec: Spec) -> Component:
        plugin = self._plugin("extractors", spec.without("layer"))
        layer = spec.settings.get("layer")
        if isinstance(plugin, TableSource):
            if layer is not None:
                raise BenchError(f"{spec}: {spec.name} has no layers.")
            return Component(spec, plugin, None, self.extractor(plugin.of) if plugin.of else None)
        if layer is not None and layer not in plugin.layers:
            raise BenchError(f"{spec}: there is no layer {layer!r}; {spec.name} has {', '.join(plugin.layers)}.")
        return Component(spec, plugin, layer, None)

    def _plugin(self, kind: Kind, spec: Spec) -> Any:
        """Make the plugin of a spec, or return the one of the same name, settings and lane."""
        lane = spec.settings.get("lane", self.lane)
        settings = dict(sorted(spec.without("lane").settings.items()))
        key = (kind, str(Spec(spec.name, settings)), lane)
        if key not in self._plugins:
            self._plugins[key] = create(kind, spec, lane=self.lane)
        return self._plugins[key]


def audio_extractors(entries: Iterable[ExtractorEntry]) -> list[Extractor]:
    """Return every extractor behind some entries that listens to audio, each once."""
    return list({id(plugin): plugin for entry in entries for plugin in entry.audio}.values())


def table_sources(entry: ExtractorEntry) -> Iterator[Component]:
    """Go through the components behind an entry whose vectors need no audio."""
    return (one for one in entry.behind if isinstance(one.plugin, TableSource))


def resolve(text: str, lane: Lane = "corrected", treat: str = "") -> ExtractorEntry:
    """Resolve one extractor entry by itself."""
    return Resolver(lane, treat).extractor(text)
