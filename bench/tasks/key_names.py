"""Parse the names of musical keys, such as ``C major``, ``d minor``, ``Bb`` and ``f#m``.

Conventions, as in `bench.metrics.key_score`: 0 to 11 are the major keys from C upward, 12 to 23 the minor keys.
Enharmonic names, such as C# and Db, are the same key.
"""

from __future__ import annotations

import re

_LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_KEY = re.compile(r"([a-g])\s*(#|♯|b|♭|-?sharp|-?flat)?\s*[:\s]?\s*(major|maj|minor|min|m)?", re.IGNORECASE)


def number(text: str) -> int | None:
    """Return the number of a key, 0 to 23, or None if the text is not one key (``-``, ``C / Am``, ``X``)."""
    found = _KEY.fullmatch(text.strip())
    if not found:
        return None
    letter, accidental, mode = found.groups()
    shift = {"#": 1, "♯": 1, "b": -1, "♭": -1}.get(accidental or "", 0)
    if accidental and not shift:
        shift = 1 if "sharp" in accidental.lower() else -1
    minor = mode is not None and (mode == "m" or mode.lower() in ("minor", "min"))
    return (_LETTERS[letter.lower()] + shift) % 12 + 12 * minor
