"""The table of audio extractors' models in ``bench ls extractors``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import groupby
from typing import Any

from bench.errors import BenchError
from bench.extract import stored_widths
from bench.protocols import Extractor, Window
from bench.registry import Entry, make
from bench.terminal import table


def models(entries: Sequence[Entry]) -> Any:
    """Return the table of extractors that use audio, with their default settings."""
    rows = table("models", "name", "Hz", "layers", "window", "parameters", "licence", "trained on", "weights")
    rows.columns[-1].no_wrap = True  # a command can be copied
    rows.columns[2].min_width = 16  # a layer and its width stay on one line
    for entry in entries:
        if entry.plugin is not None and issubclass(entry.plugin, Extractor):
            rows.add_row(entry.origin.name, *_about(entry.plugin))
    return rows


def _about(cls: type[Extractor]) -> tuple[str, ...]:
    """Return the cells of one model, from the class if the plugin cannot be created with default settings."""
    plugin: Extractor | None = None
    try:
        plugin = make(cls, cls.Settings())
    except (TypeError, ValueError):  # a setting without a default, such as the path of a file
        lacks = f"give {_unset(cls)}"
    except BenchError as error:
        lacks = str(error)
    known = plugin or cls
    return (
        f"{getattr(known, 'sample_rate', '–')}",  # a class may leave it to its instances
        _layers(stored_widths(plugin)) if plugin else "–",
        _window(plugin.window, plugin.sample_rate) if plugin else "–",
        _count(known.parameters),
        known.license + (" (non-commercial)" if known.non_commercial else ""),
        ", ".join(known.trained_on) or "–",
        _weights(plugin) if plugin else lacks,
    )


def _layers(widths: Mapping[str, int]) -> str:
    """Format the layers with their widths; more than four successive layers of equal width are abbreviated."""
    out = []
    for width, run in groupby(widths, key=lambda name: widths[name]):
        names = list(run)
        out += [f"{names[0]} to {names[-1]}: {width} each"] if len(names) > 4 else [f"{n} {width}" for n in names]
    return ", ".join(out)


def _unset(cls: type[Extractor]) -> str:
    """Return the settings without a default."""
    wanted = (f.name for f in fields(cls.Settings) if f.default is MISSING and f.default_factory is MISSING)
    return ", ".join(f"{name}=" for name in wanted)


def _window(window: Window, rate: int) -> str:
    if window.length is None:
        return "whole track"
    overlap = f" every {window.hop / rate:.2f} s" if window.hop < window.length else ""
    return f"{window.length / rate:.2f} s{overlap}"


def _count(number: int | None) -> str:
    if number is None:
        return "–"
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.2f} M"


def _weights(plugin: Extractor) -> str:
    """Return whether the weights are installed, and otherwise the commands that install them."""
    files = plugin.weights
    if plugin.unready() is None:
        return "here" if files else "none needed"
    if not files:
        return "not here"
    pulls = "; ".join(f"bench weights pull {one.name}" for one in files)
    size = sum(one.bytes or 0 for one in files) / 1e6
    commands = f"{pulls} ({size:.0f} MB)" if size else pulls
    return f"fetched on first use, or:\n{commands}" if all(one.automatic for one in files) else commands
