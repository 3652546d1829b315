"""Errors caused by wrong input; their messages name the wrong value, where it is, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Wrong input; the command line prints the message without a traceback and exits with 1."""


class TrackError(BenchError):
    """A track cannot be used; the reason is listed, and the run continues without the track."""


class UnavailableError(TrackError):
    """A file is not available at the moment; it may be valid."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint such as `` Did you mean 'mfcc'?``, or the list of known names if none is similar."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return " Did you mean " + " or ".join(repr(n) for n in near) + "?"
    return f" Known: {', '.join(names)}." if names else " None is installed."
