"""bz2 on all cores: every block of a bzip2 stream can be unpacked by itself, once it is found.

Blocks begin at any bit with a fixed magic number (48 bits, the digits of pi); a stream ends with another
one. Each block becomes a small stream of its own that the standard library unpacks, and checks by its CRC,
without holding the interpreter's lock. Whatever is unexpected is left to the standard library's own reader,
so that results and errors are always those of `bz2.open`.
"""

from __future__ import annotations

import bz2
import io
import re
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.machine import cores

CHUNK = 1 << 22
"""Compressed bytes searched at a time."""

AHEAD = 4
"""Blocks in flight for each thread; one takes about 5 MiB."""

_BLOCK, _END = 0x314159265359, 0x177245385090
_TAIL = 11
"""Bytes that hold a magic number at any bit, and the 32 bits after it."""


class _UnexpectedError(Exception):
    """The file is damaged, or not cut where its magic numbers are: let the standard library look at it."""


class _Block(NamedTuple):
    """Bits of a block: `length` of them from bit `first` (0 to 7) of `data` on, the magic number included."""

    data: bytes
    first: int
    length: int
    header: bytes
    """Of its stream: BZh and the largest size of a block."""


def open_bz2(path: Path, workers: int | None = None) -> IO[bytes]:
    """Open a bz2 file for reading; `workers` threads (default: one a core of this process) unpack it.

    Memory: the blocks in flight, some 20 MiB a thread. Errors are those of `bz2.open`, when reading.
    """
    return io.BufferedReader(_Reader(path, workers or cores()), 1 << 20)


class _Reader(io.RawIOBase):
    """The bytes of the file, in order."""

    def __init__(self, path: Path, workers: int) -> None:
        self._pieces = _pieces(path, workers)
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not len(self._piece):
            found = next(self._pieces, None)
            if found is None:
                return 0
            self._piece = memoryview(found)
        out = memoryview(buffer).cast("B")
        size = min(len(out), len(self._piece))
        out[:size], self._piece = self._piece[:size], self._piece[size:]
        return size

    def close(self) -> None:
        if not self.closed:
            self._pieces.close()
        super().close()


def _pieces(path: Path, workers: int) -> Generator[bytes, None, None]:
    done = 0
    try:
        for piece in _parallel(path, workers):
            yield piece
            done += len(piece)
    except _UnexpectedError:
        with bz2.open(path) as file:
            _skip(file, done)
            while piece := file.read(1 << 20):
                yield piece


def _skip(file: IO[bytes], count: int) -> None:
    while count and (got := len(file.read(min(count, 1 << 24)))):
        count -= got


def _parallel(path: Path, workers: int) -> Iterator[bytes]:
    flying: deque[Future[bytes]] = deque()
    with open(path, "rb") as file, ThreadPoolExecutor(workers) as pool:
        try:
            for block in _blocks(file):
                flying.append(pool.submit(_unpack, block))
                if len(flying) >= AHEAD * workers:
                    yield _result(flying)
            while flying:
                yield _result(flying)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _result(flying: deque[Future[bytes]]) -> bytes:
    try:
        return flying.popleft().result()
    except (OSError, EOFError, ValueError) as error:
        raise _UnexpectedError from error


def _blocks(file: IO[bytes]) -> Iterator[_Block]:
    """Find the blocks in order, and check that they are all and nothing lies between them."""
    data, searched = b"", 0
    begun: int | None = None  # bit of `data` where the present block begins
    stream, crc, header = 0, 0, b""  # byte of `data` where the next stream begins; check sum of the present one
    while True:
        chunk = file.read(CHUNK)
        data += chunk
        # A magic number too near the end of the data is found in the next round.
        until = max(searched, len(data) - _TAIL if chunk else len(data))
        for at, end in _marks(data, searched, until):
            if begun is None:
                header = data[stream : stream + 4]
                if at != 8 * (stream + 4) or not re.fullmatch(b"BZh[1-9]", header):
                    raise _UnexpectedError
            else:
                crc = ((crc << 1 | crc >> 31) & 0xFFFFFFFF) ^ _number(data, begun + 48)
                yield _Block(data[begun // 8 : at // 8 + 1], begun % 8, at - begun, header)
            if end:
                if _number(data, at + 48) != crc:
                    raise _UnexpectedError
                begun, stream, crc = None, (at + 80 + 7) // 8, 0
            else:
                begun = at
        if not chunk:
            break
        keep = min(until, stream) if begun is None else begun // 8
        data, searched, stream = data[keep:], until - keep, stream - keep
        begun = None if begun is None else begun - 8 * keep
    if begun is not None or stream != len(data) or not data:
        raise _UnexpectedError


@cache
def _patterns() -> tuple[NDArray[np.bool_], list[tuple[int, bool, int, int]]]:
    """Where to look, and for what.

    Which values of two bytes (65536,) are the second and third byte of a magic number at some bit; and for
    each bit and magic number: (bit, is it the end, value, mask) of seven bytes.
    """
    table = np.zeros(1 << 16, dtype=np.bool_)
    found = []
    for bit in range(8):
        mask = ((1 << 48) - 1) << 8 - bit
        for magic in (_BLOCK, _END):
            value = magic << 8 - bit
            table[value >> 32 & 0xFFFF] = True
            found.append((bit, magic == _END, value, mask))
    return table, found


def _marks(data: bytes, start: int, stop: int) -> list[tuple[int, bool]]:
    """Magic numbers that begin in bytes [start, stop) of `data`: (bit, is it the end), in order."""
    raw = np.frombuffer(data[start : stop + 7] + bytes(8), dtype=np.uint8)
    table, patterns = _patterns()
    pairs = raw[1:-1].astype(np.uint16) << 8 | raw[2:]
    near = np.flatnonzero(table[pairs])
    near = near[near < stop - start]
    window = np.zeros(len(near), dtype=np.int64)
    for byte in range(7):
        window = window << 8 | raw[near + byte]
    found = [
        (8 * (start + int(at)) + bit, end) for bit, end, value, mask in patterns for at in near[window & mask == value]
    ]
    return sorted(found)


def _number(data: bytes, bit: int, bits: int = 32) -> int:
    """Return the number in `bits` bits of `data` from `bit` on."""
    last = (bit + bits + 7) // 8
    if last > len(data):
        raise _UnexpectedError
    return int.from_bytes(data[bit // 8 : last], "big") >> 8 * last - bit - bits & (1 << bits) - 1


def _unpack(block: _Block) -> bytes:
    """Unpack a block as a stream of its own: its bits, moved to a whole byte, between header and end."""
    raw: NDArray[np.uint8] = np.frombuffer(block.data + b"\0", dtype=np.uint8)
    if block.first:
        raw = np.bitwise_or(raw[:-1] << np.uint8(block.first), raw[1:] >> np.uint8(8 - block.first))
    whole, rest = divmod(block.length, 8)
    crc = int.from_bytes(raw[6:10].tobytes(), "big")  # a stream of one block has the block's check sum
    end = (int(raw[whole]) >> 8 - rest) << 80 | _END << 32 | crc
    end <<= -(rest + 80) % 8
    stream = block.header + raw[:whole].tobytes() + end.to_bytes((rest + 87) // 8, "big")
    unpacker = bz2.BZ2Decompressor()
    out = unpacker.decompress(stream)
    if not unpacker.eof:
        raise EOFError
    return out
