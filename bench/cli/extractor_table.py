"""What ``bench ls extractors`` shows of models: a table of all, the details of one, and those free for any use."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import Any

from bench.cli.extractor_facts import commercial, count, facts, layers, made, settings, window
from bench.extract import stored_widths
from bench.protocols import Extractor, Plugin, VectorSource
from bench.registry import Entry
from bench.terminal import table

COLUMNS = 100
"""Width of tables and texts in files and pipes."""
FORBIDDEN = "non-commercial"


def models(entries: Sequence[Entry]) -> Any:
    """Return the table of extractors that use audio, with their default settings."""
    rows = table("models", "name", "Hz", "layers", "window", "params", "licence", "weights")
    rows.columns[0].no_wrap = True  # a name can be copied
    rows.columns[2].min_width = 16  # a layer and its width stay on one line
    rows.columns[5].min_width = len(FORBIDDEN)
    rows.columns[6].min_width = 16
    rows.caption = "pull NAME: `bench weights pull NAME` fetches these weights. `bench ls extractors NAME` says more."
    rows.caption_justify = "left"
    for entry in entries:
        if entry.plugin is not None and issubclass(entry.plugin, Extractor):
            rows.add_row(entry.origin.name, *_about(entry.plugin))
    return rows


def _about(cls: type[Extractor]) -> tuple[str, ...]:
    """Return the cells of one model, from the class if the plugin cannot be created with default settings."""
    plugin, lacks = made(cls)
    known = plugin or cls
    return (
        f"{getattr(known, 'sample_rate', '–')}",  # a class may leave it to its instances
        layers(stored_widths(plugin)) if plugin else "–",
        window(plugin.window, plugin.sample_rate).replace(" every", "\nevery") if plugin else "–",
        count(known.parameters),
        known.license + (f"\n{FORBIDDEN}" if known.non_commercial else ""),
        _weights(plugin) if plugin else lacks,
    )


def _weights(plugin: Extractor) -> str:
    """Return whether the weights are installed, and otherwise how they are."""
    files = plugin.weights
    if plugin.unready() is None:
        return "here" if files else "none needed"
    if not files:
        return "not here"
    size = sum(one.bytes or 0 for one in files) / 1e6
    sized = f"\n({size:.0f} MB)" if size else ""
    if all(one.automatic for one in files):
        return f"on first use{sized}"
    return "\n".join(f"pull {one.name}" for one in files) + sized


def free(entries: Sequence[Entry]) -> list[Entry]:
    """Return the audio extractors of which some weights may be used commercially."""
    return [entry for entry in _audio(entries) if "allowed" in commercial(entry.plugin)]


def not_free(entries: Sequence[Entry]) -> str:
    """Return a sentence on the weights of audio extractors that `free` leaves out."""
    out: dict[str, list[str]] = {"forbidden": [], "unknown": []}
    for entry in _audio(entries):
        for terms, names in commercial(entry.plugin).items():
            out.setdefault(terms, []).extend(names)
    said = {"forbidden": "Licences forbid commercial use of", "unknown": "The licence is unknown of"}
    return " ".join(
        f"{said[terms]} {', '.join(names)}." for terms in said if (names := list(dict.fromkeys(out[terms])))
    )


def _audio(entries: Sequence[Entry]) -> Iterator[Any]:
    return (one for one in entries if one.plugin is not None and issubclass(one.plugin, Extractor))


def details(name: str, cls: type[Plugin]) -> str:
    """Return a text on one plugin: its description, facts and traps of an extractor, and its settings."""
    said = f"{name}: {inspect.cleandoc(cls.__doc__ or '').replace('``', '')}"
    blocks = [fill(one, COLUMNS, break_long_words=False, break_on_hyphens=False) for one in said.split("\n\n")]
    if issubclass(cls, VectorSource):
        blocks.append("\n".join(_item(what, text) for what, text in facts(cls)))
        if cls.traps:
            blocks.append("\n".join(["traps", *(_item("", text, "  - ") for text in cls.traps)]))
    known = [
        (f"{one.name}={'...' if one.default is None else one.default}", one.meaning or "–") for one in settings(cls)
    ]
    if known:
        blocks.append("\n".join(["settings, with their defaults", *(_item(what, text, "  ") for what, text in known)]))
    return "\n\n".join(blocks)


def _item(what: str, text: str, indent: str = "") -> str:
    start = f"{indent}{what}: " if what else indent
    return fill(start + text, COLUMNS, subsequent_indent=" " * 4, break_long_words=False, break_on_hyphens=False)
