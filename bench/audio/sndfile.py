"""Read files with libsndfile: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, AU, W64 and CAF.

libsndfile stops at the first end that a file states. Where more audio follows (chained Ogg, joined MP3, MP3 behind
damage, WAV beyond 4 GiB), the parts are opened one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench.audio import mpeg
from bench.audio.containers import Link, ogg_links, second_flac, unstated
from bench.audio.sections import Section
from bench.errors import TrackError, UnavailableError

BLOCK = 1 << 15
"""Frames per read. It is fixed, because it affects how many frames before a damaged place are lost."""
PREROLL = 1 << 20
"""Frames that are decoded and dropped before an offset in MP3 or Ogg. After a seek, an MP3 decoder lacks the bit
reservoir (at most 511 bytes), and positions in the last Ogg page of Vorbis (at most 255 packets of 4096 new samples)
are wrong; this number of frames is enough for both."""
DENSEST = 8192
"""Maximum frames per byte of a file (FLAC silence: 4681); if a decoder gives more, the file is damaged."""
ENOUGH = 0.95
"""Minimum share of the stated length that must decode, and of the bytes that must be audio if none is stated."""
SKIPPED = 0.2
"""Seconds, more than the start of an Opus stream that is decoded and dropped (80 ms)."""
SYSTEM = 2
"""libsndfile's code for a failed read of the disk."""


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read sequentially.

    soundfile seeks after each read of a seekable file. In MP3 and Ogg Vorbis these seeks are not exact, so the
    samples would depend on the block sizes.
    """

    def seekable(self) -> bool:
        return False


class Sndfile:
    """An open file; `start` is the offset in bytes of the first MPEG frame if junk precedes it."""

    decoder = "libsndfile"

    def __init__(self, path: str, size: int, start: int = 0) -> None:
        self._path, self._size, self._start = path, size, start
        self._section: Section | None = None
        self._links: list[Link] = []
        self._later: int | None = None
        """Where another MP3 begins, behind one that states its length."""
        self._junk = 0
        """Bytes between MPEG frames that are no audio."""
        self._at = 0
        """Frames of the open part before the next read."""
        self._failed = False
        self._file = _Sequential(path) if not start else self._opened(start)
        self.format = f"{self._file.format} {self._file.subtype}"
        self.frames = self._promised()
        self.rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)

    def _opened(self, start: int, stop: int | None = None, **raw: object) -> _Sequential:
        """Open a section of the file, in place of the one before."""
        if self._section is not None:
            self._section.close()
        self._section = Section(self._path, start, stop, endless=stop is None)
        return _Sequential(self._section, **raw)

    def _promised(self) -> int | None:
        """Return the frames that the headers of all parts state; open an MP3 again if libsndfile only guesses."""
        kind, frames = self._file.format, int(self._file.frames)
        if kind == "MP3":
            if not self._section and re.search(r"bitrate mode\s*: constant", self._file.extra_info):
                self._file.close()
                self._file = self._opened(0)
            return self._promised_by_mp3()
        if kind == "OGG":
            self._links = ogg_links(self._path)
            for link in self._links[1:]:
                with Section(self._path, link.start, link.stop) as section, _Sequential(section) as file:
                    frames += int(file.frames)
            if len(self._links) > 1:
                self._open_link()
        elif kind in ("WAV", "WAVEX", "AU"):
            data = unstated(self._path, self._size)
            if data:
                self._file = self._headerless(data.start, data.stop, data.endian)
                return int(self._file.frames)
        if frames >= 1 << 60:
            return None  # FLAC written to a pipe
        return self._full(frames)

    def _promised_by_mp3(self) -> int | None:
        """Return the frames by the Xing header, None without one or if another stream follows."""
        frames = int(self._file.frames)
        # With a Xing header, the length is right in an endless section, too; without one, the guess is far too large.
        if self._section and frames >= Section.FAR // 4:
            return None
        with open(self._path, "rb") as file:
            self._later = mpeg.following(file, self._size, self._section.start if self._section else 0)
        return frames if self._later is None else None

    def _headerless(self, start: int, stop: int, endian: str) -> _Sequential:
        """Open samples whose header states a wrong length by what else it states."""
        old = self._file
        old.close()
        if old.subtype not in soundfile.available_subtypes("RAW"):
            raise TrackError(f"damaged: the header states a wrong length ({old.subtype})")
        form = {"format": "RAW", "subtype": old.subtype, "endian": endian.upper()}
        return self._opened(start, stop, samplerate=old.samplerate, channels=old.channels, **form)

    def _full(self, frames: int) -> int:
        """Return the frames stated by a WAV, AIFF or AU, of which libsndfile reports only those that are present."""
        cut = re.search(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", self._file.extra_info, re.M)
        if cut:
            stated, present_bytes = int(cut[1]), int(cut[2])
            # A program that does not know the length in advance writes a size near 2 or 4 GiB.
            if present_bytes < stated < 0x7FFF0000:
                frames = frames * stated // max(present_bytes, 1)
        return frames

    def blocks(self, start: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        """Yield frames ``start : start + count`` in blocks (n, channels); fewer if the file ends early.

        Raises
        ------
        TrackError
            If bytes are left that may be audio and cannot be decoded, or the parts of the file differ in rate or
            channels.

        """
        most = self._size * DENSEST
        left = most if count is None else min(count, most)
        size = max(1, BLOCK // self.channels)
        skip = self._seek(start)
        while left > 0:
            block = self._read(min(size, skip + left))
            if not len(block):
                if self._next():
                    continue
                return
            dropped = min(skip, len(block))
            skip -= dropped
            left -= len(block) - dropped
            if dropped < len(block):
                yield block[dropped:]
        if count is None or count > most:
            raise TrackError("damaged: it decodes to more frames than a file of its size can hold")

    def _seek(self, start: int) -> int:
        """Go to a frame, or before it; return the frames to drop."""
        while start >= self._file.frames and self._later_part():
            start -= int(self._file.frames)
            self._open_later()
        skip = min(start, PREROLL) if self._file.format in ("MP3", "OGG") else 0
        if start > skip:
            try:
                self._file.seek(start - skip)
                self._at = start - skip
            except soundfile.LibsndfileError:
                if self._section is None or self._file.format != "MP3":
                    self._failed = True
                    return skip
                # Damage, or the end of a stream, lies before the frame: read from the beginning.
                self._file.close()
                self._file = self._opened(self._section.start)
                return start
        return skip

    def _read(self, count: int) -> NDArray[np.float32]:
        """Read at most `count` frames of the open part; none at its end and behind damage."""
        block = np.empty((0 if self._failed else count, self.channels), np.float32)
        if self._failed:
            return block
        if self._section is not None:
            block.fill(np.nan)  # marks what is not decoded if the read fails
        try:
            block = self._file.read(out=block)
        except soundfile.LibsndfileError as error:
            if error.code == SYSTEM:
                raise UnavailableError("cannot be read: input/output error") from error
            self._failed = True
            block = block[: 0 if self._section is None else int(np.isnan(block[:, 0]).argmax())]
        self._at += len(block)
        return block

    def _later_part(self) -> bool:
        """Whether another part is known to follow."""
        return self._later is not None or len(self._links) > 1

    def _next(self) -> bool:
        """Open the part that follows; return False if there is none."""
        self._check_end()
        if self._file.format == "MP3" and self._later is None:
            self._later = self._behind_damage()
        if not self._later_part():
            return False
        self._open_later()
        return True

    def _open_later(self) -> None:
        self._file.close()
        if self._later is not None:
            self._file = self._opened(self._later)
            self._later = None
            self._promised_by_mp3()
        else:
            self._links.pop(0)
            self._open_link()
        self._at, self._failed = 0, False
        now = int(self._file.samplerate), int(self._file.channels)
        if now != (self.rate, self.channels):
            raise TrackError(
                f"joined recordings differ: {self.rate} Hz, {self.channels} channels, then {now[0]} Hz, {now[1]}"
            )

    def _open_link(self) -> None:
        self._file = self._opened(self._links[0].start, self._links[0].stop)

    def _check_end(self) -> None:
        """Raise TrackError if a part ends too early and the caller cannot see that from `frames`."""
        stated = int(self._file.frames)
        if self._file.format == "OGG" and self._links:
            # libsndfile ends at damage, and reports only what lies before it. Positions of Opus are those at 48 kHz.
            begin = re.search(r"(?:PCM|Granule pos) offset *: (\d+)", self._file.extra_info)
            span = (self._links[0].granule - int(begin[1] if begin else 0)) / (
                48_000 if self._file.subtype == "OPUS" else self.rate
            )
            if span * self.rate > stated + self.rate * SKIPPED:
                stated = round(span * self.rate)
        elif self._file.format == "FLAC":
            # libsndfile fails at the end of the first of two streams, except where one of its blocks ends.
            if (self._failed or self._at % 4096 == 0) and (other := second_flac(self._path)):
                raise TrackError(f"damaged: a second recording begins at byte {other}")
            if self._failed and stated >= 1 << 60:
                raise TrackError(f"damaged: the decoder stops after {self._at / self.rate:.1f} s")
            return
        elif self.frames is not None:
            return  # the caller compares the decoded length with the header
        if self._at < ENOUGH * stated < Section.FAR // 4:
            raise TrackError(f"truncated: {self._at / self.rate:.1f} of {stated / self.rate:.1f} seconds decoded")

    def _behind_damage(self) -> int | None:
        """Return where MPEG frames go on behind the place at which the decoder stopped, or None.

        Raises
        ------
        TrackError
            If more than the share 1 - `ENOUGH` of the bytes is no audio.

        """
        if self._section is None or int(self._file.frames) < Section.FAR // 4:
            return None  # a stated length, which was reached or is compared by the caller
        stopped = self._section.position
        with open(self._path, "rb") as file:
            stop = mpeg.before_tags(file, self._size)
            at = mpeg.audio(file, stopped - 4, stop)
        self._junk += max((stop if at is None else at) - stopped, 0)
        if self._junk > (1 - ENOUGH) * (stop - self._start):
            raise TrackError(f"damaged: {self._junk} of {stop - self._start} bytes are not audio")
        return at

    def close(self) -> None:
        """Release the file."""
        self._file.close()
        if self._section is not None:
            self._section.close()
