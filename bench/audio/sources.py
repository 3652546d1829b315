"""Read audio files in blocks of frames, at the sample rate and channel count of the file.

libsndfile (through soundfile) reads WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, AU, W64 and CAF. The optional torchcodec
reads the formats of FFmpeg (AAC, ALAC, WMA). libsndfile tries every file first, whatever its extension.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench.errors import TrackError
from bench.files.atomic import present, unreadable

BLOCK = 1 << 15
"""Frames per read. It is fixed, because it affects how many frames before a damaged place are lost."""
PREROLL = 1 << 20
"""Frames that are decoded and dropped before an offset in MP3 or Ogg. After a seek, an MP3 decoder lacks the bit
reservoir (at most 511 bytes), and positions in the last Ogg page of Vorbis (at most 255 packets of 4096 new samples)
are wrong; this number of frames is enough for both."""
DENSEST = 8192
"""Maximum frames per byte of a file (FLAC silence: 4681); if a decoder gives more, the file is damaged."""
RATES = range(1_000, 1_000_001)


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
        If the file is missing, empty, unreadable or not audio, or there is no decoder.

    """
    size = present(path).st_size
    try:
        source: Source = _Sndfile(path, size)
    except (soundfile.LibsndfileError, TypeError, ValueError, OSError) as error:
        name = _ffmpeg_format(path)
        if name is None:
            raise TrackError(f"not audio: {_said(error)}") from error
        source = _Torchcodec(path, name)
    if source.rate not in RATES or source.channels < 1:
        source.close()
        raise TrackError(f"not audio: {source.rate} Hz, {source.channels} channels")
    return source


def _said(error: Exception) -> str:
    """Return the first line of a library's error; replace the misleading one of libsndfile for unknown formats."""
    if isinstance(error, TypeError) or getattr(error, "code", None) == 7:
        return "format not recognised"
    text = getattr(error, "error_string", None) or str(error).partition("\n")[0]
    return str(text).strip().rstrip(".").lower()


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read sequentially.

    soundfile seeks after each read of a seekable file. In MP3 and Ogg Vorbis these seeks are not exact, so the
    samples would depend on the block sizes.
    """

    def seekable(self) -> bool:
        return False


class _Endless(io.RawIOBase):
    """A file that reports a much larger size than it has.

    An MP3 without a Xing header does not state its length. libsndfile estimates it from the size of the file and the
    bit rate of the first frame, and stops there, which can lose half of a file with variable bit rate. With a very
    large size, libsndfile reads until the data ends.
    """

    FAR = 1 << 40
    """Bytes added to the size: months of audio, even at the highest bit rate."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._beyond = 0

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._beyond = self.FAR if whence == os.SEEK_END else 0
        return self._file.seek(offset, whence) + self._beyond

    def tell(self) -> int:
        return self._file.tell() + self._beyond

    def close(self) -> None:
        self._file.close()
        super().close()


class _Sndfile:
    decoder = "libsndfile"

    def __init__(self, path: str, size: int) -> None:
        self._most = DENSEST * size
        self._endless: _Endless | None = None
        self._file = _Sequential(path)
        self.format = f"{self._file.format} {self._file.subtype}"
        self.frames: int | None = self._promised()
        if self._file.format == "MP3" and re.search(r"bitrate mode\s*: constant", self._file.extra_info):
            self._file.close()
            self._endless = _Endless(path)
            self._file = _Sequential(self._endless)
            # With a Xing header, the length is still right; without one, the estimate is far too large.
            self.frames = self._file.frames if self._file.frames < _Endless.FAR // 4 else None
        self.rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)

    def _promised(self) -> int:
        """Return the frames stated in the header; libsndfile reports those present in a truncated WAV, AIFF or AU."""
        frames = int(self._file.frames)
        cut = re.search(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", self._file.extra_info, re.M)
        if cut:
            stated, present_bytes = int(cut[1]), int(cut[2])
            # A program that does not know the length in advance writes a size near 2 or 4 GiB.
            if present_bytes < stated < 0x7FFF0000:
                frames = frames * stated // max(present_bytes, 1)
        return frames

    def blocks(self, start: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        skip = min(start, PREROLL) if self._file.format in ("MP3", "OGG") else 0
        left = self._most if count is None else min(count, self._most)
        size = max(1, BLOCK // self.channels)
        try:
            if start > skip:
                self._file.seek(start - skip)
            while left > 0:
                block = self._file.read(min(size, skip + left), dtype="float32", always_2d=True)
                if not len(block):
                    return
                dropped = min(skip, len(block))
                skip -= dropped
                left -= len(block) - dropped
                if dropped < len(block):
                    yield block[dropped:]
        except soundfile.LibsndfileError:
            return  # damaged: the caller compares the decoded length with the header
        if count is None or count > self._most:
            raise TrackError("damaged: it decodes to more frames than a file of its size can hold")

    def close(self) -> None:
        self._file.close()
        if self._endless is not None:
            self._endless.close()


class _Torchcodec:
    decoder = "torchcodec"
    STEP = 4_423_680
    """Frames per request: a multiple of the usual packet sizes (960, 1024, 1152, 1536, 2048, 4608), because torchcodec
    decodes from the start again if a request begins inside a packet that it has already decoded."""

    def __init__(self, path: str, name: str) -> None:
        try:
            from torchcodec.decoders import AudioDecoder
        except ModuleNotFoundError as error:
            raise TrackError(f"no decoder for {name}: pip install 'music-embedding-bench[m4a]'") from error
        except (ImportError, OSError, RuntimeError) as error:
            raise TrackError(f"no decoder for {name}: torchcodec finds no FFmpeg libraries") from error
        try:
            self._decoder = AudioDecoder(path)
        except (RuntimeError, ValueError, OSError) as error:
            raise TrackError(f"not audio: {_said(error)}") from error
        about = self._decoder.metadata
        self.rate = int(about.sample_rate or 0)
        self.channels = int(about.num_channels or 0)
        self.format = str(about.codec)
        self._begin = float(about.begin_stream_seconds_from_header or 0.0)
        seconds = about.duration_seconds_from_header
        self.frames = round(seconds * self.rate) if seconds else None
        self._most = DENSEST * os.path.getsize(path)

    def blocks(self, start: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        stop = min(self._most, self._most if count is None else start + count)
        for first in range(start, stop, self.STEP):
            last = min(first + self.STEP, stop)
            try:
                samples = self._decoder.get_samples_played_in_range(
                    self._begin + first / self.rate, self._begin + last / self.rate
                )
            except (RuntimeError, ValueError):
                return  # past the end, or damaged: the caller compares the length with the header
            block: NDArray[np.float32] = samples.data.numpy().T
            if not len(block):
                return
            yield block[: last - first]

    def close(self) -> None:
        del self._decoder


_NAMES = "m4a m4b mp4 aac wma webm mka alac ape wv mpc tta ac3 3gp amr"
_FFMPEG = frozenset(f".{name}" for name in _NAMES.split())
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
)


def _ffmpeg_format(path: str) -> str | None:
    """Return the probable format of a file that only FFmpeg can read, or None if it does not look like audio."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        raise unreadable(error) from error
    extension = os.path.splitext(path)[1].lower()
    if extension in _FFMPEG:
        return extension
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xF6 == 0xF0:
        return "AAC"
    return next((name for at, magic, name in _MAGIC if head[at : at + len(magic)] == magic), None)
