"""Errors caused by wrong input; their messages name the wrong value, where it is, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Wrong input; the command line prints the message without a traceback and exits with 1."""


class TrackError(BenchError):
    """A track cannot be used; the reason is listed, and the run continues without the track."""


class UnavailableError(TrackError):
    """A file cannot be used on this machine at the moment, but it may be valid.

    Examples: it is missing, or a decoder is not installed. Such a failure is listed, but never stored.
    """


def of_environment(error: BaseException) -> bool:
    """Whether an error is a fault of this machine or of what is installed on it, and not of the file in hand."""
    return isinstance(error, (UnavailableError, MemoryError, OSError, ImportError))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint such as `` Did you mean 'mfcc'?``, or the list of known names if none is similar."""
    names = sorted(known)
    folded = {each.casefold(): each for each in names}
    # At 0.65, 'rnu' is near 'run', and 'cnn' is not near 'musicnn'.
    near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.65)]
    if near:
        return " Did you mean " + " or ".join(repr(n) for n in near) + "?"
    return f" Known: {', '.join(names)}." if names else " None is installed."
