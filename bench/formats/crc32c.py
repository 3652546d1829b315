"""CRC-32C (Castagnoli), vectorised: the checksum in files of TensorFlow and LevelDB.

Written here because the standard library has CRC-32 only, and one checkpoint is no reason for a compiled dependency.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78
"""x^32 + x^28 + ... of RFC 3720, lowest bit first."""
LANES = 2048
"""Number of segments of a long buffer that are processed in parallel."""


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data`.

    A long buffer is split into lanes of equal length, which are processed together, one byte per step. The
    register is linear over GF(2): the register of A followed by B is the register of A advanced over len(B)
    zero bytes, xor the register of B started at zero.
    """
    table = _table()
    buffer = np.frombuffer(data, np.uint8)
    step = len(buffer) // LANES
    register = 0xFFFFFFFF
    if step > 16:
        lanes = buffer[: step * LANES].reshape(LANES, step)
        registers = np.zeros(LANES, np.uint32)
        for column in np.ascontiguousarray(lanes.T):
            registers = (registers >> 8) ^ table[(registers ^ column) & 0xFF]
        move = _zeros(step)
        for found in registers.tolist():
            register = _apply(move, register) ^ found
        buffer = buffer[step * LANES :]
    plain = table.tolist()
    for byte in buffer.tolist():
        register = (register >> 8) ^ plain[(register ^ byte) & 0xFF]
    return register ^ 0xFFFFFFFF


def masked(plain: int) -> int:
    """Mask a checksum as LevelDB and TFRecord files do: rotate right by 15 bits and add a constant."""
    return ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF


def unmasked(masked: int) -> int:
    """Return the checksum that `masked` has masked."""
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


@cache
def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.bitwise_xor(table >> 1, (table & 1) * np.uint32(POLYNOMIAL), dtype=np.uint32)
    return table


def _zeros(count: int) -> list[int]:
    """Return the columns (32) of the matrix that advances a register over `count` zero bytes."""
    table = _table().tolist()
    power = [(1 << bit) >> 8 ^ table[(1 << bit) & 0xFF] for bit in range(32)]
    move = [1 << bit for bit in range(32)]
    while count:
        if count & 1:
            move = [_apply(power, column) for column in move]
        power = [_apply(power, column) for column in power]
        count >>= 1
    return move


def _apply(matrix: list[int], register: int) -> int:
    """Multiply a 32 x 32 matrix of bits, given by its columns, with a register."""
    out = 0
    for column in matrix:
        if register & 1:
            out ^= column
        register >>= 1
    return out
