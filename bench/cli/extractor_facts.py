"""What extractors say of themselves: the facts in ``bench ls extractors NAME`` and in docs/extractors.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import groupby
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from bench.errors import BenchError
from bench.extract import stored_widths
from bench.protocols import Extractor, Plugin, VectorSource, Window
from bench.registry import make
from bench.weights import Source, Weights

V = TypeVar("V", bound=VectorSource)
Use = Literal["allowed", "forbidden", "unknown"]
"""Commercial use, as licences say."""
Fact = tuple[str, str]
"""What a fact is about, and a phrase."""
LANE = "published repeats the choices of a paper, its mistakes included; corrected does what the model was made for"
_FORBIDDEN = re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE)
_UNKNOWN = re.compile(r"$|unknown|undisclosed|not stated", re.IGNORECASE)
_SETTING = re.compile(r"(?P<names>\w+(?:, \w+)*) : (?P<meaning>.+)")


@dataclass(frozen=True)
class Setting:
    """A setting of a plugin: its default as on the command line (None: it must be given), and what it means."""

    name: str
    default: str | None
    meaning: str


def made(cls: type[V]) -> tuple[V | None, str]:
    """Return the plugin with its default settings, or None and what it lacks."""
    try:
        return make(cls, cls.Settings()), ""
    except (TypeError, ValueError):  # a setting without a default, such as the path of a file
        return None, "give " + ", ".join(f"{one.name}=" for one in settings(cls) if one.default is None)
    except BenchError as error:
        return None, str(error)


def use(terms: str, non_commercial: bool) -> Use:
    """Return whether a licence allows commercial use."""
    if non_commercial or _FORBIDDEN.search(terms):
        return "forbidden"
    return "unknown" if _UNKNOWN.match(terms.strip()) else "allowed"


def commercial(cls: type[VectorSource]) -> dict[Use, list[str]]:
    """Return which weights of an extractor have licences that allow commercial use, forbid it, or are unknown.

    An extractor without weights stands for itself. If the code of a class has terms of its own, both count.
    """
    own = use(cls.license, cls.non_commercial) if cls.license or not cls.weights else "allowed"
    out: dict[Use, list[str]] = {}
    for name, terms in [(one.name, use(one.license, one.non_commercial)) for one in cls.weights] or [(cls.name, own)]:
        out.setdefault(terms if own == "allowed" else own, []).append(name)
    return out


def described_use(cls: type[VectorSource]) -> str:
    """Return whether the licences of an extractor allow commercial use, in words."""
    found = commercial(cls)
    return " and ".join(f"{one} ({', '.join(names)})" if len(found) > 1 else one for one, names in found.items())


def facts(cls: type[VectorSource]) -> list[Fact]:
    """Return what is known of an extractor with its default settings; nothing here depends on this machine."""
    plugin, _ = made(cls)
    out: list[Fact] = []
    if isinstance(plugin, Extractor):
        out += [
            ("input", f"{plugin.sample_rate:,} Hz, mono"),
            ("window", window(plugin.window, plugin.sample_rate)),
            ("layers", f"{layers(stored_widths(plugin))}; default {plugin.default_layer or list(plugin.layers)[-1]}"),
        ]
    out += [
        ("parameters", f"{number:,}" if (number := getattr(plugin or cls, "parameters", None)) else ""),
        ("licence", "; ".join(_licences(cls))),
        ("commercial use", described_use(cls) if issubclass(cls, Extractor) else "as of the vectors that it is given"),
        ("trained on", "; ".join(_trained_on(cls, plugin))),
        *(("weights", _weights(one)) for one in cls.weights),
        ("paper", cls.paper),
    ]
    return [(what, text) for what, text in out if text]


def _licences(cls: type[VectorSource]) -> Iterator[str]:
    """Yield the licences of the weights, and of the extractor where it names another one."""
    same = {one.license for one in cls.weights}
    if cls.license and cls.license not in same:
        yield f"{cls.license}{' (code)' if same else ''}"
    for terms, group in groupby(cls.weights, key=lambda one: one.license):
        yield f"{terms} ({', '.join(one.name for one in group)})" if len(same) > 1 else terms


def _trained_on(cls: type[VectorSource], plugin: VectorSource | None) -> Iterator[str]:
    """Yield the training data of each part of the weights, or of the extractor without any."""
    parts = [(one, part) for one in cls.weights for part in one.parts]
    found = [(f"{one.name} {part.name}", ", ".join(part.trained_on)) for one, part in parts]
    if len({data for _, data in found}) > 1:
        yield from (f"{name}: {data}" for name, data in found if data)
    elif data := found[0][1] if found else ", ".join((plugin or cls).trained_on):
        yield data
    elif heard := ", ".join(one.data for one in (plugin or cls).heard):
        yield heard


def _weights(one: Weights) -> str:
    """Return how weights are fetched, from where, and by which hashes they are checked."""
    size = f", {one.bytes / 1e6:,.1f} MB" if one.bytes else ", size not published"
    brought = "fetched on first use, or by" if one.automatic else "not fetched by itself; to fetch it:"
    ways = f"`bench weights pull {one.name}`; `bench weights add {one.name} PATH` uses a copy"
    hashes = "; ".join(dict.fromkeys(map(_hash, one.sources)))
    return f"{one.name} ({one.terms}{size}) from {one.origins}: {brought} {ways}. {hashes}"


def _hash(source: Source) -> str:
    known = source.sha256 or next(iter(source.members.values()), None)
    return f"sha256 of {source.file}: {known}" if known else "no hash is published: the first file's is recorded"


def settings(cls: type[Plugin]) -> list[Setting]:
    """Return the settings of a plugin; their meanings stand in the docstring of the dataclass, one paragraph each."""
    said, hints = meanings(cls.Settings), get_type_hints(cls.Settings)
    out = []
    for one in fields(cls.Settings):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        meaning = said.get(one.name, LANE if one.name == "lane" else "")
        choices = [str(value) for value in _choices(hints[one.name])]
        if missing := [value for value in choices if not re.search(rf"\b{re.escape(value)}\b", meaning)]:
            meaning += f"{' ' * bool(meaning)}({' or '.join(choices if len(missing) == len(choices) else missing)})"
        out.append(Setting(one.name, None if default is MISSING else _written(default), meaning))
    return out


def _written(value: object) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _choices(hint: Any) -> Sequence[object]:
    """Return the values that a type allows by name."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return [value for option in get_args(hint) for value in _choices(option)]


def meanings(cls: type[Any]) -> Mapping[str, str]:
    """Return name -> meaning from lines ``name : meaning`` of a docstring; further lines of one are indented."""
    out: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(cls.__doc__ or "").splitlines():
        if found := _SETTING.fullmatch(line):
            names = found["names"].split(", ")
            out |= dict.fromkeys(names, found["meaning"])
        elif names and line.startswith(" "):
            out |= {name: f"{out[name]} {line.strip()}" for name in names}
        else:
            names = []
    return out


def layers(widths: Mapping[str, int]) -> str:
    """Format the layers with their widths; more than four successive layers of equal width are abbreviated."""
    out = []
    for width, run in groupby(widths, key=lambda name: widths[name]):
        names = list(run)
        out += [f"{names[0]} to {names[-1]}: {width} each"] if len(names) > 4 else [f"{n} {width}" for n in names]
    return ", ".join(out)


def window(cut: Window, rate: int) -> str:
    """Format the length of windows, and the time from one to the next if they overlap."""
    if cut.length is None:
        return "whole track"
    overlap = f" every {cut.hop / rate:.2f} s" if cut.hop < cut.length else ""
    return f"{cut.length / rate:.2f} s{overlap}"


def count(number: int | None) -> str:
    """Format a number of parameters."""
    if number is None:
        return "–"
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.2f} M"
