"""How counts, times, sizes and names from outside are written in messages."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def visible(text: object) -> str:
    """Return text in which every character can be seen: what controls a terminal or the order of letters is escaped.

    Line breaks and tabs stay. Escaped, as Python writes them, are control and formatting characters (ESC,
    bidirectional overrides, spaces without width), halves of surrogate pairs and undefined characters.
    """
    said = str(text)
    return said if said.isprintable() else "".join(c if _can_be_seen(c) else _escaped(c) for c in said)


def one_line(text: object) -> str:
    """Return text as `visible` does, in one line: any run of white space becomes one space."""
    return visible(" ".join(str(text).split()))


def _can_be_seen(character: str) -> bool:
    return character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def counted(number: int, thing: str) -> str:
    """Return ``1 track`` or ``2 tracks``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def numbered(thing: str, numbers: Sequence[int]) -> str:
    """Return ``fold 2``, ``folds 1, 3`` or, for three or more in a row, ``folds 1 to 5``."""
    first, last = numbers[0], numbers[-1]
    whole = len(numbers) > 2 and list(numbers) == list(range(first, last + 1))
    said = f"{first} to {last}" if whole else ", ".join(map(str, numbers))
    return f"{thing}{'' if len(numbers) == 1 else 's'} {said}"


def duration(seconds: float) -> str:
    """Return seconds as ``45 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(number: float) -> str:
    """Return bytes as ``3.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
