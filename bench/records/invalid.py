"""Errors in JSON values with their paths, and objects with repeated keys."""

from __future__ import annotations

from typing import Any

from bench.records.limits import shown


class InvalidValueError(ValueError):
    """An invalid value; `at` is the path to it from the outermost value."""

    def __init__(self, why: str, *at: str | int):
        super().__init__(why)
        self.why, self.at = why, list(at)

    def inside(self, key: str | int) -> InvalidValueError:
        """Prepend a key or index to the path."""
        self.at.insert(0, key)
        return self

    @property
    def path(self) -> str:
        """The path in Python syntax: ``extractor.view.layers[0]``."""
        out = ""
        for key in self.at:
            if isinstance(key, str) and key.isascii() and key.isidentifier() and len(key) <= 60:
                out += f".{key}" if out else key
            else:
                out += f"[{shown(key)}]"
        return out

    def __str__(self) -> str:
        """Return the path and the reason."""
        return f"{self.path}: {self.why}" if self.at else self.why


class Repeated(dict[str, Any]):
    """A JSON object that contains the key `twice` more than once."""

    twice = ""


def objects(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object (an ``object_pairs_hook``) that remembers a repeated key."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated, seen = Repeated(found), set()
    for key, _ in pairs:
        if key in seen:
            repeated.twice = key
        seen.add(key)
    return repeated
