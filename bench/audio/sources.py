"""Open audio files with the library that can read them.

libsndfile (through soundfile) reads WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, AU, W64 and CAF. The optional torchcodec
reads the formats of FFmpeg (AAC, ALAC, WMA). libsndfile tries every file first, whatever its extension.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench.audio import mpeg
from bench.audio.ffmpeg import Torchcodec, ffmpeg_format
from bench.audio.sndfile import SYSTEM, Sndfile
from bench.errors import TrackError, UnavailableError
from bench.files.atomic import present, unreadable

RATES = range(1_000, 1_000_001)
READER = 2
"""Raised when files that could not be read may be readable."""
LEADING = 1 << 20
"""Bytes before the first MPEG frame, without tags, in which it is looked for."""


class Source(Protocol):
    """An open file: `rate` in Hz; `frames` is the length in the header, None if not stated."""

    rate: int
    channels: int
    frames: int | None
    format: str
    decoder: str

    def blocks(self, start: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        """Yield frames ``start : start + count`` in blocks (n, channels); fewer if the file ends early."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def open_source(path: str) -> Source:
    """Open `path` with a library that can read it.

    Raises
    ------
    TrackError
        If the file is empty or not audio.
    UnavailableError
        If the file is missing or unreadable, or there is no decoder on this machine.

    """
    size = present(path).st_size
    try:
        source: Source = Sndfile(path, size)
    except OSError as error:
        raise unreadable(error) from error
    except (soundfile.LibsndfileError, TypeError, ValueError) as error:
        if getattr(error, "code", None) == SYSTEM:
            raise _unreadable(path, error) from error
        source = _opened_otherwise(path, size, error)
    if source.rate not in RATES or source.channels < 1:
        source.close()
        raise TrackError(f"not audio: {source.rate} Hz, {source.channels} channels")
    return source


def _opened_otherwise(path: str, size: int, error: Exception) -> Source:
    """Open a file that libsndfile refuses: with torchcodec, or from its first MPEG frame."""
    name = ffmpeg_format(path)
    if name is not None:
        return Torchcodec(path, name)
    with open(path, "rb") as file:
        first = mpeg.first(file, size, most=LEADING)
    if first:
        try:
            return Sndfile(path, size, first)
        except (soundfile.LibsndfileError, TypeError, ValueError) as second:
            raise TrackError(f"not audio: {_said(second)}") from second
    raise TrackError(f"not audio: {_said(error)}") from error


def _unreadable(path: str, error: Exception) -> UnavailableError:
    """Return the reason that the system gives, which libsndfile does not pass on."""
    try:
        with open(path, "rb"):
            return UnavailableError(f"cannot be read: {_said(error)}")
    except OSError as reason:
        return unreadable(reason)


def decoders() -> str:
    """Return what reads files here; another machine or version may read those that fail here."""
    try:
        extra = version("torchcodec")
    except PackageNotFoundError:
        extra = "none"
    return f"reader {READER}, libsndfile {soundfile.__libsndfile_version__}, torchcodec {extra}"


def _said(error: Exception) -> str:
    """Return the first line of a library's error; replace the misleading one of libsndfile for unknown formats."""
    if isinstance(error, TypeError) or getattr(error, "code", None) == 7:
        return "format not recognised"
    text = getattr(error, "error_string", None) or str(error).partition("\n")[0]
    return str(text).strip().rstrip(".").lower()
