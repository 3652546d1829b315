"""Write training curves in TensorBoard's format, without TensorFlow: TFRecord frames with protobuf messages.

Format: ``tensorflow/core/util/event.proto``, ``tensorflow/core/framework/summary.proto`` and
``tensorflow/core/lib/io/record_writer.h``. A frame is the payload's length (8 bytes, little-endian), its
masked CRC-32C, the payload, and its masked CRC-32C.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from bench.formats.crc32c import crc32c, masked

NAME = "events.out.tfevents.bench"
"""TensorBoard reads files with ``tfevents`` in their name."""
VERSION = b"brain.Event:2"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Events:
    """A log of scalars that is written during training; readers skip an incomplete last frame."""

    def __init__(self, folder: Path):
        """Start a new log in `folder`; an earlier one is overwritten."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = open(folder / NAME, "wb")  # noqa: SIM115 - closed by `close`
        self._write(_key(3, _BYTES) + _sized(VERSION), 0.0)

    def scalars(self, step: int, when: float, values: Mapping[str, float]) -> None:
        """Append one event with `values` by tag, for `step` at time `when` (s since 1970)."""
        summary = b"".join(
            _key(1, _BYTES)
            + _sized(_key(1, _BYTES) + _sized(tag.encode()) + _key(2, _FIXED32) + struct.pack("<f", value))
            for tag, value in values.items()
        )
        self._write(_key(2, _VARINT) + _varint(step) + _key(5, _BYTES) + _sized(summary), when)

    def _write(self, fields: bytes, when: float) -> None:
        payload = _key(1, _FIXED64) + struct.pack("<d", when) + fields
        length = struct.pack("<Q", len(payload))
        frame = length + struct.pack("<I", masked(crc32c(length)))
        self._file.write(frame + payload + struct.pack("<I", masked(crc32c(payload))))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _sized(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
