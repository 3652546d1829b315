"""Which names mean the same recordings: an extractor trained on those that it is measured on knows them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

FAMILIES: Mapping[str, Sequence[str]] = {
    "music4all": ("music4all", "m4a", "onion"),
    "msd": ("msd", "millionsong", "tasteprofile"),
    "magnatagatune": ("magnatagatune", "mtat", "mtt"),
    "jamendo": ("jamendo", "mtgjamendo"),
    "fma": ("fma", "freemusicarchive"),
    "audioset": ("audioset",),
    "gtzan": ("gtzan",),
    "yambda": ("yambda",),
    "lfm": ("lfm1b", "lfm2b"),
}
"""Collections by how their names begin (small letters and digits alone); editions and cuts share recordings."""


def same_catalogue(one: str, other: str) -> bool:
    """Whether two names mean the same collection: ``Music4All`` and ``music4all-onion``, ``MSD`` and ``msd50``."""
    return bool(_plain(one)) and _family(one) == _family(other)


def _family(name: str) -> str:
    plain = _plain(name)
    return next((family for family, begins in FAMILIES.items() if plain.startswith(tuple(begins))), plain)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
