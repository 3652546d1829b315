"""Whether a path leads to a file that can be read at all: asked alike before hashing and decoding."""

from __future__ import annotations

import os
import stat

from bench.errors import TrackError


class UnavailableError(TrackError):
    """A file cannot be had at the moment, which says nothing about what it holds."""


def present(path: str) -> os.stat_result:
    """Return the status of a readable, non-empty regular file.

    Raises
    ------
    UnavailableError
        "missing", "empty file", or "cannot be read: ..." (a folder, a pipe, no permission).

    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise unreadable(error) from error
    if not stat.S_ISREG(status.st_mode):
        # Opening a named pipe would wait forever.
        raise UnavailableError("cannot be read: it is not a file")
    if not status.st_size:
        raise UnavailableError("empty file")
    return status


def unreadable(error: OSError | ValueError) -> UnavailableError:
    """Turn what the operating system said into a reason."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UnavailableError("missing")
    return UnavailableError(f"cannot be read: {getattr(error, 'strerror', None) or error}")
