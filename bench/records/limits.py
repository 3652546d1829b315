"""Limits for fields of a record, in addition to types: lengths, ranges, patterns of names and hashes."""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

LARGEST_FLOAT = sys.float_info.max
DEEPEST = 24
"""Maximum nesting depth of lists and objects in a free value."""

MOST = 100_000
"""Maximum number of entries in a list or an object."""


@dataclass(frozen=True)
class Text:
    """A string of at most `longest` characters.

    pattern : a regular expression that the whole string matches
    without : forbidden Unicode categories and single characters
    """

    longest: int = 100_000
    pattern: str | None = None
    without: tuple[str, ...] = ("Cs",)

    @cached_property
    def _single(self) -> tuple[str, ...]:
        """The single characters in `without`."""
        return tuple(one for one in self.without if len(one) == 1)

    def wrong(self, text: str) -> str | None:
        """Return why a string is invalid; None if it is valid."""
        if len(text) > self.longest:
            return f"a text of {len(text):,} characters, more than {self.longest:,}"
        if text.isascii() and text.isprintable() and not (self._single and any(one in text for one in self._single)):
            return None
        for character in text:
            if character in self.without or unicodedata.category(character) in self.without:
                return f"{shown(text)} holds the character {character!a}"
        return None


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`."""

    low: float = -LARGEST_FLOAT
    high: float = LARGEST_FLOAT

    def wrong(self, number: float) -> str | None:
        """Return why a number is invalid, such as NaN or an integer too large for a float; None if it is valid."""
        if self.low <= number <= self.high:
            return None
        if number != number or not -LARGEST_FLOAT <= number <= LARGEST_FLOAT:
            return "not a finite number"
        bounds = f"below {self.low:g}" if number < self.low else f"above {self.high:g}"
        return f"{number!r} is {bounds}"


@dataclass(frozen=True)
class Length:
    """A list or an object with `least` to `most` entries."""

    least: int = 0
    most: int = MOST


@dataclass(frozen=True)
class Free:
    """Any JSON value."""


@dataclass(frozen=True)
class EmptyObject:
    """None is written as an empty object."""


_CONTROL = ("Cc", "Cs", "Zl", "Zp")
_FOLDER = (*_CONTROL, "Cf", "Co", "/", "\\")

Name = Annotated[str, Text(200, r"(?!\.+$).+", _FOLDER)]
"""A name that becomes part of a path: one line, no control or formatting characters, no separators."""

Label = Annotated[str, Text(4_000, None, _CONTROL)]
"""One line of any text, such as a spec, which may contain a file's path."""

Prose = Annotated[str, Text()]
"""Text that no code parses."""

Sha256 = Annotated[str, Text(64, r"[0-9a-f]{64}", ())]
Count = Annotated[int, Range(0, 2**53)]
Seconds = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
Json = Annotated[Any, Free()]
Lane = Literal["published", "corrected", "mixed"]


def shown(value: object) -> str:
    """Return a short, printable form of a value for a message; only the type of lists and objects."""
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    text = ascii(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:60]}..."
