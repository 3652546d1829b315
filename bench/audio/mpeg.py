"""Find MPEG audio frames (MP1, MP2, MP3) and the tags around them, without decoding.

Sources: ISO/IEC 11172-3 and 13818-3 (frame headers); the layouts of the Xing header, ID3v1, ID3v2, APEv2 and
Lyrics3 tags as their authors published them.
"""

from __future__ import annotations

import re
from typing import BinaryIO, NamedTuple

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Bits of the version -> sample rates in Hz: MPEG-1, MPEG-2, MPEG-2.5."""
_KBITS = {
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""(MPEG-1, bits of the layer: 3 for layer I) -> kbit/s for the values 1 to 14."""
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
CHAIN = 4
"""Consecutive frames of the same version, layer and sample rate that mark audio; chance gives none in terabytes."""
LONGEST = 1 << 13
"""Bytes, more than the longest frame has (5,760: 160 kbit/s at 8 kHz in layer II, with padding)."""
WINDOW = 1 << 20


class Frame(NamedTuple):
    """A frame header: `length` in bytes, `kind` (version, layer, sample rate), `side` bytes of side information."""

    length: int
    kind: tuple[int, int, int]
    side: int


class Xing(NamedTuple):
    """The Xing or Info header: frames after it, and bytes of the stream with it; None if not stated."""

    frames: int | None
    length: int | None


def frame(data: bytes, at: int) -> Frame | None:
    """Return the header at an offset of `data`; None if there is none, or its length is not stated (free format)."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, data[at + 1] >> 1 & 3
    bits, rate_bits, padding = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or layer == 0 or rate_bits == 3 or bits in (0, 15):
        return None
    first, rate = version == 3, _RATES[version][rate_bits]
    kbits = _KBITS[first, layer][bits - 1]
    if layer == 3:
        length = (12_000 * kbits // rate + padding) * 4
    else:
        length = (144_000 if first or layer == 2 else 72_000) * kbits // rate + padding
    mono = data[at + 3] >> 6 == 3
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return Frame(length, (version, layer, rate), side)


def audio(file: BinaryIO, start: int, stop: int) -> int | None:
    """Return the first offset in ``start : stop`` at which `CHAIN` frames follow each other, or None."""
    step = 1 << 14  # most often, the first bytes are audio
    while start < stop:
        file.seek(start)
        data = file.read(min(step + CHAIN * LONGEST, stop - start))
        if not data:
            return None
        for found in _SYNC.finditer(data, 0, step + 1):
            if _chained(data, found.start()):
                return start + found.start()
        start += step
        step = WINDOW
    return None


def _chained(data: bytes, at: int) -> bool:
    kind = None
    for _ in range(CHAIN):
        head = frame(data, at)
        if head is None or kind not in (None, head.kind):
            return False
        kind = head.kind
        at += head.length
    return True


def first(file: BinaryIO, size: int, start: int = 0, most: int | None = None) -> int | None:
    """Return the offset of the first frame after `start` and the ID3v2 tags there, in `most` bytes; None: no audio."""
    after = behind_tags(file, start)
    if after >= size:  # the tag states too large a size
        after = start
    return audio(file, after, size if most is None else min(size, after + most))


def following(file: BinaryIO, size: int, start: int) -> int | None:
    """Return where another stream begins, behind the one at `start` whose length its Xing header states, or None."""
    at = first(file, size, start)
    head = None if at is None else xing(file, at)
    if at is None or head is None or head.frames is None:
        return None
    stop = before_tags(file, size)
    if head.length is not None and audio(file, at + head.length, stop) is None:
        return None
    # There are more frames, or the byte count is wrong: only walking from frame to frame tells.
    return audio(file, _walked(file, at, head.frames + 1), stop)


def xing(file: BinaryIO, at: int) -> Xing | None:
    """Return the Xing or Info header in the frame at an offset, or None."""
    file.seek(at)
    data = file.read(64)
    head = frame(data, 0)
    if head is None:
        return None
    where = 4 + head.side
    if data[where : where + 4] not in (b"Xing", b"Info"):
        return None
    flags = data[where + 7]
    values = [int.from_bytes(data[where + 8 + 4 * i : where + 12 + 4 * i], "big") for i in range(2)]
    frames = values.pop(0) if flags & 1 else None
    return Xing(frames, values.pop(0) if flags & 2 else None)


def _walked(file: BinaryIO, at: int, count: int) -> int:
    """Return the end of `count` frames, or of fewer if something else comes between."""
    base, data = at, b""
    for _ in range(count):
        if at + 4 > base + len(data):
            file.seek(at)
            base, data = at, file.read(WINDOW)
        head = frame(data, at - base)
        if head is None:
            break
        at += head.length
    return at


def behind_tags(file: BinaryIO, at: int) -> int:
    """Return the offset behind the ID3v2 tags at `at`."""
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        at += 10 + _synchsafe(head[6:]) + (10 if head[5] & 0x10 else 0)


def before_tags(file: BinaryIO, size: int) -> int:
    """Return the offset at which the tags at the end of a file begin: ID3v1, APEv2, Lyrics3, ID3v2 with a footer."""
    while size > 128:
        file.seek(size - 128)
        tail = file.read(128)
        if tail[:3] == b"TAG":
            length = 128
        elif tail[-32:-24] == b"APETAGEX":
            length = int.from_bytes(tail[-20:-16], "little") + (32 if tail[-9] & 0x80 else 0)
        elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
            length = int(tail[-15:-9]) + 15
        elif tail[-10:-7] == b"3DI":
            length = _synchsafe(tail[-4:]) + 20
        else:
            break
        if not 0 < length <= size:
            break
        size -= length
    return size


def _synchsafe(data: bytes) -> int:
    return data[0] << 21 | data[1] << 14 | data[2] << 7 | data[3]
