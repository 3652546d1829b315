"""Test contamination: tell whether an extractor was trained on the recordings that it is evaluated on."""

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
"""Prefixes of names by collection; names are compared in lower case, letters and digits only.

Editions and subsets of a collection share recordings.
"""


def same_catalogue(one: str, other: str) -> bool:
    """Whether two names refer to the same collection, such as ``Music4All`` and ``music4all-onion``."""
    return bool(_plain(one)) and _family(one) == _family(other)


def _family(name: str) -> str:
    plain = _plain(name)
    return next((family for family, prefixes in FAMILIES.items() if plain.startswith(tuple(prefixes))), plain)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
