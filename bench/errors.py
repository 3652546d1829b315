"""The errors a user can cause, each with a message that names the value, the place and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Wrong input: the command line prints the message without a traceback and exits with 1."""


class TrackError(BenchError):
    """One track cannot be used. Its reason becomes a listed row; the run goes on."""


class UnavailableError(TrackError):
    """A file cannot be had at the moment, which says nothing about what it holds."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint such as `` Did you mean 'mfcc'?`` or the full list when nothing is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return " Did you mean " + " or ".join(repr(n) for n in near) + "?"
    return f" Known: {', '.join(names)}." if names else " None is installed."
