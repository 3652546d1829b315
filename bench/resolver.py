"""Resolve specs into typed entries, and create every plugin of a request once.

A request stores the specs as text, for the record. All other code uses the entries created here, so that no spec is
parsed again and no plugin is created twice with the same settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from bench import treatments
from bench.entries import ALL, AUTO, NONE, Component, ExtractorEntry, RecommenderEntry, TaskEntry
from bench.errors import BenchError
from bench.protocols import Extractor, Lane, TableSource, named_by
from bench.registry import Kind, create, get
from bench.specs import VIEW, Spec, parse, parse_sum


class Resolver:
    """Turns the specs of one request into entries, and creates every plugin once.

    Parameters
    ----------
    lane : lane of plugins whose spec does not name one
    treat : treatment of the tables of extractor entries, such as ``l2+pca:128``

    """

    def __init__(self, lane: Lane = "corrected", treat: str = ""):
        treatments.parse(treat)  # raises for an invalid treatment
        self.lane, self.treat = lane, treat
        self._plugins: dict[tuple[Kind, str, str], Any] = {}
        self._pooled: dict[tuple[int, str], Extractor] = {}
        self._extractors: dict[tuple[str, str], ExtractorEntry] = {}
        self._recommenders: dict[str, RecommenderEntry] = {}
        self._tasks: dict[str, TaskEntry] = {}

    def extractor(self, text: str, *, treat: str | None = None) -> ExtractorEntry:
        """Resolve ``A`` or ``A+B``.

        Raises
        ------
        BenchError
            For an unknown name, setting or lane, and for a layer that the extractor does not have.

        """
        text = absolute("extractors", text)
        specs = parse_sum(text)
        treat = self.treat if treat is None else treat
        if [spec.name for spec in specs] == [NONE]:
            treat = ""
        if (text, treat) not in self._extractors:
            components = tuple(self._component(spec) for spec in specs)
            entry = self._extractors[text, treat] = ExtractorEntry(text, components, treat)
            if entry.auto and len(components) > 1:
                raise BenchError(f"{text}: layer=auto chooses the layer of one extractor, and this joins tables.")
        return self._extractors[text, treat]

    def extractors(self, texts: Iterable[str], *, layers: bool | None = None) -> list[ExtractorEntry]:
        """Resolve several specs, without duplicates; ``layer=all`` in one stands for an entry for each layer.

        Parameters
        ----------
        layers : True: as if each spec that names no layer had ``layer=all``; False: without it, for the default layer

        Raises
        ------
        BenchError
            As `extractor` does, and for all layers of a sum ``A+B``.

        """
        found: dict[ExtractorEntry, None] = {}
        for text in texts:
            specs = parse_sum(text)
            every = any(spec.settings.get("layer") == ALL for spec in specs)
            plain = "+".join(str(_default_layer(spec)) for spec in specs) if every else text
            entry = self.extractor(plain)
            every = every if layers is None else layers
            if every and len(specs) > 1:
                raise BenchError(f"{text}: layer=all stands for several entries, and this joins tables.")
            found |= dict.fromkeys(self.layers(entry) if every else [entry])
        return list(found)

    def recommender(self, text: str) -> RecommenderEntry:
        """Resolve a recommender; raise BenchError for an unknown name, setting or lane."""
        text = absolute("recommenders", text)
        if text not in self._recommenders:
            spec = parse(text)
            self._recommenders[text] = RecommenderEntry(text, spec, self._plugin("recommenders", spec))
        return self._recommenders[text]

    def task(self, text: str) -> TaskEntry:
        """Resolve an MIR task; raise BenchError for an unknown name, setting or lane."""
        text = absolute("tasks", text)
        if text not in self._tasks:
            spec = parse(text)
            self._tasks[text] = TaskEntry(text, spec, self._plugin("tasks", spec))
        return self._tasks[text]

    def layers(self, entry: ExtractorEntry) -> list[ExtractorEntry]:
        """Return an entry for each layer of an extractor, or of the extractor behind a control.

        An entry that names its layer, joins tables or has one layer is returned unchanged. For ``layer=auto`` these are
        the layers to choose from.
        """
        first = entry.components[0]
        if len(entry.components) > 1 or first.layer not in (None, AUTO):
            return [entry]
        if isinstance(first.plugin, TableSource):
            if first.base is None:
                return [entry]
            texts = [{**first.spec.settings, "of": one.text} for one in self.layers(first.base)]
            return [self.extractor(str(Spec(first.spec.name, settings))) for settings in texts]
        plain = first.spec.without("layer")
        if len(first.plugin.layers) < 2:
            return [entry if first.layer is None else self.extractor(str(plain))]
        return [self.extractor(str(plain.with_default("layer", layer))) for layer in first.plugin.layers]

    def shuffled(self, entry: ExtractorEntry) -> ExtractorEntry:
        """Return the control that shuffles the rows of an entry's table."""
        return self.extractor(str(Spec("shuffled", {"of": entry.text})))

    def _component(self, spec: Spec) -> Component:
        plugin = self._plugin("extractors", spec.without(*VIEW))
        layer, pooling = (spec.settings.get(key) for key in VIEW)
        if isinstance(plugin, TableSource):
            if layer is not None or pooling is not None:
                raise BenchError(f"{spec}: {spec.name} has no {'layers' if pooling is None else 'pooling'}.")
            return Component(spec, plugin, None, self.extractor(plugin.of) if plugin.of else None)
        if pooling is not None and pooling != plugin.pooling:
            plugin = self._pooled.setdefault((id(plugin), pooling), plugin.pooled(pooling))
        if layer == ALL:
            raise BenchError(f"{spec}: layer=all stands for several entries; here give one layer.")
        if layer not in (None, AUTO, *plugin.layers):
            raise BenchError(f"{spec}: there is no layer {layer!r}; {spec.name} has {', '.join(plugin.layers)}.")
        return Component(spec, plugin, layer, None, pooling)

    def _plugin(self, kind: Kind, spec: Spec) -> Any:
        """Create the plugin of a spec, or return the existing one with the same name, settings and lane."""
        lane = spec.settings.get("lane", self.lane)
        settings = dict(sorted(spec.without("lane").settings.items()))
        key = (kind, str(Spec(spec.name, settings)), lane)
        if key not in self._plugins:
            self._plugins[key] = create(kind, spec, lane=self.lane)
        return self._plugins[key]


def _default_layer(spec: Spec) -> Spec:
    """Return a spec without ``layer=all``."""
    return spec.without("layer") if spec.settings.get("layer") == ALL else spec


def absolute(kind: Kind, text: str) -> str:
    """Return a spec (or sum) with absolute file paths, so that it means the same in every folder.

    A plugin declares such settings with ``field(metadata=FILE)`` or ``PROGRAM``. A program named without a folder is
    found through the search path, and stays unchanged.
    """
    specs = parse_sum(text) if kind == "extractors" else [parse(text)]
    found = [_absolute(kind, spec) for spec in specs]
    return text if found == specs else "+".join(map(str, found))


def _absolute(kind: Kind, spec: Spec) -> Spec:
    known = {field.name: field.metadata for field in fields(get(kind, spec.name).Settings)}
    settings = dict(spec.settings)
    for key, value in spec.settings.items():
        named = named_by(known.get(key, {}), value)
        if named == "file" or (named == "program" and os.sep in value):
            settings[key] = os.path.abspath(os.path.expanduser(value))  # keep links: ids are beside the link
        elif key == "of" and kind == "extractors":
            settings[key] = absolute(kind, value)
    return Spec(spec.name, settings)


def resolve(text: str, lane: Lane = "corrected", treat: str = "") -> ExtractorEntry:
    """Resolve a single extractor entry."""
    return Resolver(lane, treat).extractor(text)
