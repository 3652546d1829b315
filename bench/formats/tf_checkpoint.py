"""Read a TensorFlow checkpoint with NumPy only, without TensorFlow, pickle or executing code.

A checkpoint of version 2 (TensorFlow 0.12 and later) consists of two files. ``PREFIX.index`` is a sorted
string table in the format of LevelDB: blocks of prefix-compressed keys, each block followed by its compression
type (one byte) and a masked CRC-32C, and a footer of 48 bytes with the position of the index of the blocks. A
key is the name of a variable, its value a small protocol buffer (type, shape, shard, offset, size, CRC-32C).
``PREFIX.data-00000-of-00001`` contains the raw little-endian values.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.formats.crc32c import crc32c, unmasked

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
_TEXT = 7
"""TensorFlow's number for text, such as the graph of objects that Keras stores beside the weights; it is left out."""
_TYPES = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64, 19: np.float16}
"""TensorFlow's numbers for the data types that weights can have."""


@dataclass(frozen=True)
class Entry:
    """Type, shape, position (bytes) and checksum of one variable in the data file."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    offset: int
    size: int
    crc: int | None


def read_checkpoint(index: Path, data: Path) -> dict[str, NDArray[np.generic]]:
    """Return variable name -> array from the two files of a checkpoint.

    Raises
    ------
    BenchError
        A file is absent, has another format, is compressed, sharded or truncated, or a checksum does not match;
        the message names the file.

    """
    try:
        table, values = index.read_bytes(), data.read_bytes()
    except OSError as error:
        raise BenchError(f"{error.filename} cannot be read: {error.strerror}.") from error
    try:
        entries = read_index(table)
    except (ValueError, IndexError, struct.error) as error:
        raise BenchError(f"{index} is not a TensorFlow checkpoint index: {error}.") from error
    out = {}
    for name, entry in entries.items():
        raw = values[entry.offset : entry.offset + entry.size]
        if len(raw) != entry.size:
            raise BenchError(f"{data} is truncated: {name} needs {entry.offset + entry.size} bytes of {len(values)}.")
        if entry.crc is not None and crc32c(raw) != entry.crc:
            raise BenchError(f"{data} is damaged: the checksum of {name} does not match.")
        out[name] = np.frombuffer(raw, entry.dtype).reshape(entry.shape)
    return out


def read_index(table: bytes) -> dict[str, Entry]:
    """Return variable name -> entry from the bytes of an index file; raises ValueError if they are invalid."""
    if len(table) < FOOTER or struct.unpack("<Q", table[-8:])[0] != MAGIC:
        raise ValueError("the magic number at its end is missing")
    at = _varint(table, _varint(table, len(table) - FOOTER)[1])[1]  # past the handle of the meta index
    offset, at = _varint(table, at)
    size, _ = _varint(table, at)
    entries = {}
    for _, handle in _block(table, offset, size):
        start, at = _varint(handle, 0)
        length, _ = _varint(handle, at)
        for key, value in _block(table, start, length):
            if key and _number(_fields(value).get(1, 0)) == _TEXT:
                continue
            if key:
                entries[key.decode()] = _entry(key.decode(), value)
            else:
                _check_header(value)
    return entries


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Verify one block and yield its (key, value) pairs."""
    content, trailer = table[offset : offset + size], table[offset + size : offset + size + 5]
    if len(trailer) != 5:
        raise ValueError("a block lies beyond its end")
    if trailer[0]:
        raise ValueError("its blocks are compressed")
    if crc32c(content + trailer[:1]) != unmasked(struct.unpack("<I", trailer[1:])[0]):
        raise ValueError("the checksum of a block does not match")
    restarts = struct.unpack("<I", content[-4:])[0]
    end = len(content) - 4 - 4 * restarts
    at, key = 0, b""
    while at < end:
        shared, at = _varint(content, at)
        fresh, at = _varint(content, at)
        length, at = _varint(content, at)
        key = key[:shared] + content[at : at + fresh]
        at += fresh
        yield key, content[at : at + length]
        at += length


def _check_header(message: bytes) -> None:
    header = _fields(message)
    if (files := _number(header.get(1, 1))) != 1:
        raise ValueError(f"it has {files} data files, one is supported")
    if _number(header.get(2, 0)):
        raise ValueError("its numbers are big-endian")


def _entry(name: str, message: bytes) -> Entry:
    """Read a BundleEntryProto: 1 type, 2 shape, 4 offset, 5 size, 6 masked CRC-32C."""
    found = _fields(message)
    number = _number(found.get(1, 0))
    if number not in _TYPES:
        raise ValueError(f"{name} has type {number}, which weights do not have")
    dtype: np.dtype[np.generic] = np.dtype(_TYPES[number]).newbyteorder("<")
    dims = found.get(2, b"")
    shape = []
    if isinstance(dims, bytes):
        for field, dim in _messages(dims):
            if field == 2 and isinstance(dim, bytes):
                shape.append(_number(_fields(dim).get(1, 0)))
    size = _number(found.get(5, 0))
    if math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} of shape {tuple(shape)} cannot take {size} bytes")
    crc = unmasked(_number(found[6])) if 6 in found else None
    return Entry(dtype, tuple(shape), _number(found.get(4, 0)), size, crc)


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a number was expected")
    return value


def _fields(message: bytes) -> Mapping[int, int | bytes]:
    """Return field number -> value of a protocol buffer; of a repeated field, the last value."""
    return dict(_messages(message))


def _messages(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) pairs; a value is a number, or the bytes of a string or nested message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            value, at = int.from_bytes(message[at : at + width], "little"), at + width
        elif kind == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        else:
            raise ValueError(f"wire type {kind} in a protocol buffer")
        yield tag >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a variable-length number (7 bits per byte, lowest first); return it and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
