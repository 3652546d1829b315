"""Read the formats of FFmpeg (AAC, ALAC, WMA) with the optional torchcodec."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audio import mpeg
from bench.audio.sndfile import DENSEST
from bench.errors import TrackError, UnavailableError
from bench.files.atomic import unreadable

STEP = 4_423_680
"""Frames per request: a multiple of the usual packet sizes (960, 1024, 1152, 1536, 2048, 4608), because torchcodec
decodes from the start again if a request begins inside a packet that it has already decoded."""
LONG_STEP = 8 * STEP
"""Frames per request in formats whose times are not exact to the sample, or that cannot go back to the start. Each
request has a new decoder, which decodes from the start without seeking."""


class Torchcodec:
    """An open file; `name` is its probable format."""

    decoder = "torchcodec"

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = path, name
        self._decoder = self._opened()
        about = self._decoder.metadata
        self.rate = int(about.sample_rate or 0)
        self.channels = int(about.num_channels or 0)
        self.format = str(about.codec)
        self._begin = float(about.begin_stream_seconds_from_header or 0.0)
        head = _head(path)
        self._exact = head[4:8] == b"ftyp"  # MP4 counts time in samples
        seconds = None if _guessed(head) else about.duration_seconds_from_header
        self.frames = round(seconds * self.rate) if seconds else None
        self._most = DENSEST * os.path.getsize(path)

    def _opened(self) -> Any:
        try:
            from torchcodec.decoders import AudioDecoder
        except ModuleNotFoundError as error:
            raise UnavailableError(f"no decoder for {self._name}: pip install 'music-embedding-bench[m4a]'") from error
        except (ImportError, OSError, RuntimeError) as error:
            raise UnavailableError(f"no decoder for {self._name}: torchcodec finds no FFmpeg libraries") from error
        try:
            return AudioDecoder(self._path)
        except (RuntimeError, ValueError, OSError) as error:
            if "codec not found" in str(error).lower():  # another build of FFmpeg may have it
                raise UnavailableError(f"no decoder for {self._name}: FFmpeg has none here") from error
            raise TrackError(f"not audio: {_first_line(error)}") from error

    def blocks(self, start: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        """Yield frames ``start : start + count`` in blocks (n, channels); fewer if the file ends early.

        Raises
        ------
        TrackError
            If the decoder fails before the end.

        """
        exact = self._exact
        step = STEP if exact else LONG_STEP
        stop = min(self._most, self._most if count is None else start + count)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            if first > start and not exact:
                self._decoder = self._opened()
            # Packets in CAF have no duration, so torchcodec drops the first one if it is asked to start there.
            early = 1.0 if self._name == "CAF" and first == 0 else 0.0
            try:
                samples = self._decoder.get_samples_played_in_range(
                    self._begin + first / self.rate - early, self._begin + last / self.rate
                )
            except (RuntimeError, ValueError) as error:
                if "No audio frames were decoded" in str(error):
                    return  # past the end
                raise TrackError(f"damaged: {_first_line(error)}") from error
            block: NDArray[np.float32] = samples.data.numpy().T
            if not len(block):
                return
            yield block[: last - first]

    def close(self) -> None:
        """Release the file."""
        del self._decoder


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].strip().rstrip(".").lower()


_NAMES = "m4a m4b mp4 aac wma webm mka alac ape wv mpc tta ac3 3gp amr"
_EXTENSIONS = frozenset(f".{name}" for name in _NAMES.split())
_MAGIC = (
    (4, b"ftyp", "MP4"),
    (0, b"\x30\x26\xb2\x75", "WMA"),
    (0, b"\x1aE\xdf\xa3", "Matroska"),
    (0, b"ADIF", "AAC"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"MPCK", "Musepack"),
    (0, b"TTA1", "TTA"),
    (0, b"#!AMR", "AMR"),
    (28, b"\x7fFLAC", "FLAC in Ogg"),
    (28, b"Speex   ", "Speex"),
    (0, b"caff", "CAF"),
)


def ffmpeg_format(path: str) -> str | None:
    """Return the probable format of a file that only FFmpeg can read, or None if it does not look like audio."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        raise unreadable(error) from error
    extension = os.path.splitext(path)[1].lower()
    if extension in _EXTENSIONS:
        return extension
    if _adts(head):
        return "AAC"
    return next((name for at, magic, name in _MAGIC if head[at : at + len(magic)] == magic), None)


def _adts(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def _head(path: str) -> bytes:
    """Return the first bytes behind ID3v2 tags."""
    with open(path, "rb") as file:
        file.seek(mpeg.behind_tags(file, 0))
        return file.read(8)


def _guessed(head: bytes) -> bool:
    """Whether the format states no length, so that FFmpeg guesses it from the first bit rates: ADTS, AC-3, AMR."""
    return _adts(head) or head[:2] in (b"\x0b\x77", b"\x77\x0b") or head[:5] == b"#!AMR"
