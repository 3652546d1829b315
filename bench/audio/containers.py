"""Find audio in a container that a library would not read: later links of Ogg, samples beyond the stated size."""

from __future__ import annotations

import os
from typing import BinaryIO, NamedTuple

from bench.errors import TrackError

WINDOW = 1 << 20
WRAP = 1 << 32
"""Sizes in WAV, AIFF and AU have 32 bits; writers that go on beyond 4 GiB store the rest of the division."""


class Link(NamedTuple):
    """A link of an Ogg file: its bytes, and the position (granule) of its last page, 0 if it has several streams."""

    start: int
    stop: int
    granule: int


def ogg_links(path: str) -> list[Link]:
    """Return the links of an Ogg file. Several streams side by side (audio and pictures) are one link."""
    links: list[Link] = []
    at = base = 0
    start: int | None = None
    granule, heads, alone = 0, False, True
    with open(path, "rb", buffering=0) as file:
        data = file.read(WINDOW)
        while True:
            if at + 282 > base + len(data):  # a page header has at most 282 bytes
                file.seek(at)
                base, data = at, file.read(WINDOW)
            here = at - base
            if data[here : here + 4] != b"OggS" or len(data) < here + 27:
                found = data.find(b"OggS", here + 1)
                if found >= 0:
                    at = base + found
                elif len(data) < WINDOW:
                    break
                else:
                    at = base + len(data) - 3
                continue
            begins = bool(data[here + 5] & 2)
            if begins and not heads:
                if start is not None:
                    links.append(Link(start, at, granule if alone else 0))
                start, granule = at, 0
            alone = not heads if begins else alone
            heads = begins
            position = int.from_bytes(data[here + 6 : here + 14], "little", signed=True)
            if position > 0:
                granule = position
            segments = data[here + 26]
            at += 27 + segments + sum(data[here + 27 : here + 27 + segments])
        size = file.seek(0, os.SEEK_END)
    return links if start is None else [*links, Link(start, size, granule if alone else 0)]


def second_flac(path: str) -> int | None:
    """Return where another FLAC stream begins behind the first one, or None."""
    marker = b"fLaC\0\0\0\x22"
    at, before = 0, b""
    with open(path, "rb") as file:
        while data := file.read(WINDOW):
            found = (before + data).find(marker, 5 if not at else 0)
            if found >= 0:
                return at - len(before) + found
            at, before = at + len(data), data[-len(marker) + 1 :]
    return None


class Data(NamedTuple):
    """The samples of a file without their header: where they begin and end, and their byte order."""

    start: int
    stop: int
    endian: str


def unstated(path: str, size: int) -> Data | None:
    """Return the samples of a WAV or AU whose header states a wrong size: 0, or less by a multiple of 4 GiB.

    Returns None if the stated size may be right.

    Raises
    ------
    TrackError
        If more than 5 % of a WAV lie behind the stated samples and are no chunks.

    """
    with open(path, "rb") as file:
        head = file.read(24)
        if head[:4] in (b"RIFF", b"RIFX"):
            return _wav(file, size, "little" if head[:4] == b"RIFF" else "big")
        if head[:4] in (b".snd", b"dns."):
            order = "big" if head[:4] == b".snd" else "little"
            start, stated = (int.from_bytes(head[at : at + 4], order) for at in (4, 8))  # type: ignore[arg-type]
            beyond = size - start - stated
            if (stated == 0 and beyond > 0) or (beyond >= WRAP and stated < WRAP - 1):
                return Data(start, size, order)
    return None


def _wav(file: BinaryIO, size: int, order: str) -> Data | None:
    at = 12
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:], order)  # type: ignore[arg-type]
        at += 8
        if head[:4] == b"data":
            return _behind(file, size, at, length, order)
        at += length + length % 2
    return None


def _behind(file: BinaryIO, size: int, start: int, stated: int, order: str) -> Data | None:
    """Compare the stated length of the samples with what lies behind them."""
    stop = start + stated
    beyond = size - stop
    if beyond >= WRAP:
        return Data(start, stop + beyond // WRAP * WRAP, order)
    if beyond <= 8 or _are_chunks(file, stop + stated % 2, size, order):
        return None
    if stated == 0 or stated >= 0x7FFF0000:  # sizes near 2 and 4 GiB are those of writers that do not know the length
        return Data(start, size, order)
    if beyond > 0.05 * size:
        file.seek(stop)
        if file.read(1 << 16).strip(b"\0"):
            raise TrackError(f"damaged: {beyond} of {size} bytes lie behind the samples that the header states")
    return None


def _are_chunks(file: BinaryIO, at: int, size: int, order: str) -> bool:
    """Whether the bytes from `at` begin with a chunk: four printable characters and a length that fits."""
    file.seek(at)
    head = file.read(8)
    fits = at + 8 + int.from_bytes(head[4:], order) <= size + 1  # type: ignore[arg-type]
    return len(head) == 8 and fits and all(32 <= byte < 127 for byte in head[:4])
