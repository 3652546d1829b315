"""Parse specs on the command line: ``NAME[:key=value,...]``, lists of them, and concatenations ``A+B``.

Grammar
-------
A comma before ``key=`` continues a spec; any other comma starts the next spec. ``NAME:word`` is short
for ``NAME:model=word``. ``+`` concatenates the vectors of two specs. Values with commas, colons or plus signs
need parentheses: ``shuffled:of=(mert:layer=7,weights=random)``, ``precomputed:path=(/a+b/v.npy)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bench.errors import BenchError, did_you_mean

VIEW = ("layer", "pooling")
"""Keys of every spec of an extractor that its class does not see: which of its vectors to take."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_KEY = re.compile(r"\s*[A-Za-z_]\w*\s*=")


@dataclass(frozen=True)
class Spec:
    """A plugin's name and its settings, as text from the command line."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the spec as on the command line."""
        pairs = ",".join(f"{k}={_with_parentheses(v)}" for k, v in self.settings.items())
        return f"{self.name}:{pairs}" if pairs else self.name

    def without(self, *keys: str) -> Spec:
        """Return the same spec without some settings."""
        return Spec(self.name, {k: v for k, v in self.settings.items() if k not in keys})

    def with_default(self, key: str, value: str) -> Spec:
        """Return the same spec with `key` set unless it already is."""
        return self if key in self.settings else Spec(self.name, {**self.settings, key: value})


def parse_list(text: str) -> list[str]:
    """Split ``A,B:k=v,w=x,C+D`` into its specs, without splitting at ``+``; raises BenchError for wrong input."""
    specs: list[str] = []
    for part in _split(text, ","):
        if specs and _KEY.match(part):
            if ":" not in specs[-1]:
                raise BenchError(
                    f"spec {text!r}: {part.strip()!r} follows {specs[-1]!r}, which has no ':' yet. "
                    f"Write {specs[-1]}:{part.strip()}."
                )
            specs[-1] += "," + part
        else:
            specs.append(part.strip())
    if not all(specs):
        raise BenchError(f"spec {text!r}: an empty name. Write NAME[:key=value,...], separated by commas.")
    return specs


def parse_sum(text: str) -> list[Spec]:
    """Parse the specs in a concatenation ``A+B``."""
    return [parse(part) for part in _split(text, "+")]


def parse(text: str) -> Spec:
    """Parse one spec.

    Raises
    ------
    BenchError
        The text is not a spec; the message names the wrong part.

    """
    name, colon, rest = text.strip().partition(":")
    if not _NAME.fullmatch(name):
        raise BenchError(f"spec {text!r}: {name!r} is not a name. Write NAME[:key=value,...].")
    settings: dict[str, str] = {}
    for part in _split(rest, ",") if colon else []:
        key, equals, value = part.partition("=")
        if not equals:
            key, value = "model", part
        key, value = key.strip(), _without_parentheses(value.strip())
        if not key or not value:
            raise BenchError(f"spec {text!r}: {part!r} is not key=value.")
        if key in settings:
            raise BenchError(f"spec {text!r}: {key!r} is given twice.")
        settings[key] = value
    return Spec(name, settings)


def settings_from(cls: type[Any], spec: Spec) -> Any:
    """Make the settings dataclass `cls` from a spec; values are converted to the declared types.

    Raises
    ------
    BenchError
        A key is unknown or missing, or a value cannot be converted or is rejected by the dataclass.

    """
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}
    for key in spec.settings:
        if key not in known:
            hint = did_you_mean(key, known) if known else " It has no settings."
            raise BenchError(f"{spec.name} has no setting {key!r}.{hint}")
    values = {key: _convert(spec, key, text, hints[key]) for key, text in spec.settings.items()}
    missing = [
        f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING and f.name not in values
    ]
    if missing:
        raise BenchError(f"{spec.name} needs {', '.join(m + '=' for m in missing)}: write {spec.name}:{missing[0]}=...")
    try:
        return cls(**values)
    except ValueError as error:
        raise BenchError(f"{spec}: {error}") from error


def _convert(spec: Spec, key: str, text: str, hint: Any) -> Any:
    """Convert `text` to the declared type of a setting."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if NoneType in options and text.lower() == "none":
        return None
    for option in options:
        if get_origin(option) is Literal:
            by_text = {str(choice): choice for choice in get_args(option)}
            if text in by_text:
                return by_text[text]
            raise BenchError(
                f"{spec.name}: {key}={text} is not one of {', '.join(by_text)}.{did_you_mean(text, by_text)}"
            )
        if option is bool:
            if text.lower() in ("true", "yes", "on", "1", "false", "no", "off", "0"):
                return text.lower() in ("true", "yes", "on", "1")
        elif option in (int, float):
            try:
                return option(text)
            except ValueError:
                continue
        elif option is str:
            return text
    wanted = " or ".join(getattr(o, "__name__", str(o)) for o in options)
    raise BenchError(f"{spec.name}: {key}={text!r} is not of type {wanted}.")


def _split(text: str, separator: str) -> list[str]:
    """Split at `separator` outside parentheses."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            break
        if char == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if depth:
        raise BenchError(f"spec {text!r}: the parentheses do not match.")
    return [*parts, text[start:]]


def _without_parentheses(value: str) -> str:
    """Remove one pair of enclosing parentheses."""
    return value[1:-1] if value.startswith("(") and value.endswith(")") else value


def _with_parentheses(value: str) -> str:
    """Enclose a value in parentheses if it contains special characters."""
    return f"({value})" if re.search(r"[,+:()]", value) else value
