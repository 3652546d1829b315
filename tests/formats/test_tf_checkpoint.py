"""The checkpoint reader against checkpoints written here, byte by byte."""

import struct
from contextlib import suppress

import numpy as np
import pytest

from bench.errors import BenchError
from bench.formats import crc32c as module
from bench.formats.crc32c import crc32c
from bench.formats.tf_checkpoint import MAGIC
from bench.weights import read_checkpoint

TENSORS = {
    "conv/bias": np.array([1.5, -2.0], np.float32),
    "conv/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "conv/kernel/Adam": np.ones(300, np.float64),
    "step": np.array(7, np.int64),
}


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def block(pairs, compression=0):
    """One block: keys share what they can with the key before, with a restart every 2 keys."""
    body, restarts, last = b"", [], b""
    for at, (key, value) in enumerate(pairs):
        shared = 0
        if at % 2 == 0:
            restarts.append(len(body))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    body += b"".join(struct.pack("<I", r) for r in restarts) + struct.pack("<I", len(restarts))
    kind = bytes([compression])
    return body, kind + struct.pack("<I", masked(body + kind))


def write(folder, tensors=TENSORS, *, header=b"\x08\x01", compression=0, magic=MAGIC):
    kinds = {"float32": 1, "float64": 2, "int64": 9}
    data, entries = b"", [(b"", header)]
    for name in sorted(tensors):
        array = tensors[name]
        raw = array.tobytes()
        dims = b"".join(b"\x12" + varint(len(d)) + d for d in (b"\x08" + varint(n) for n in array.shape))
        entry = (
            b"\x08"
            + varint(7 if array.dtype.kind == "S" else kinds[array.dtype.name])
            + b"\x12"
            + varint(len(dims))
            + dims
        )
        entry += b"\x20" + varint(len(data)) + b"\x28" + varint(len(raw)) + b"\x35" + struct.pack("<I", masked(raw))
        entries.append((name.encode(), entry))
        data += raw
    table, handles = b"", []
    for part in (entries[:3], entries[3:]):
        body, trailer = block(part, compression)
        handles.append((part[-1][0], varint(len(table)) + varint(len(body))))
        table += body + trailer
    places = []
    for pairs in ([], handles):
        body, trailer = block(pairs)
        places.append(varint(len(table)) + varint(len(body)))
        table += body + trailer
    table += (places[0] + places[1]).ljust(40, b"\0") + struct.pack("<Q", magic)
    index, values = folder / "x.index", folder / "x.data-00000-of-00001"
    index.write_bytes(table)
    values.write_bytes(data)
    return index, values


def test_text_beside_the_weights_is_left_out(tmp_path):
    found = read_checkpoint(*write(tmp_path, TENSORS | {"_GRAPH": np.array(b"keras")}))
    assert found.keys() == TENSORS.keys()
    assert all(np.array_equal(found[name], array) for name, array in TENSORS.items())


def test_every_tensor_comes_back(tmp_path):
    found = read_checkpoint(*write(tmp_path))
    assert found.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def test_a_changed_value_is_found(tmp_path):
    index, values = write(tmp_path)
    raw = bytearray(values.read_bytes())
    raw[20] ^= 1
    values.write_bytes(raw)
    with pytest.raises(BenchError, match="checksum of conv/kernel does not match"):
        read_checkpoint(index, values)


def test_a_changed_index_is_found(tmp_path):
    index, values = write(tmp_path)
    raw = bytearray(index.read_bytes())
    raw[15] ^= 1
    index.write_bytes(raw)
    with pytest.raises(BenchError, match=r"x\.index is not a TensorFlow checkpoint index: the checksum of a block"):
        read_checkpoint(index, values)


def test_truncated_values_are_found(tmp_path):
    index, values = write(tmp_path)
    values.write_bytes(values.read_bytes()[:-1])
    with pytest.raises(BenchError, match="is truncated"):
        read_checkpoint(index, values)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"magic": 1}, "magic number"),
        ({"compression": 1}, "compressed"),
        ({"header": b"\x08\x02"}, "2 data files"),
        ({"header": b"\x08\x01\x10\x01"}, "big-endian"),
    ],
)
def test_what_is_not_supported_is_said(tmp_path, change, reason):
    with pytest.raises(BenchError, match=reason):
        read_checkpoint(*write(tmp_path, **change))


def test_garbage_is_an_error_not_a_crash(tmp_path, monkeypatch):
    index, values = write(tmp_path)
    for name in ("crc32c", "unmasked"):  # or the checksum would keep nearly everything from the parser
        monkeypatch.setattr(f"bench.formats.tf_checkpoint.{name}", lambda _: 0)
    good, rng = index.read_bytes(), np.random.default_rng(0)
    for _ in range(400):
        raw = bytearray(good)
        for at in rng.integers(0, len(raw), 3):
            raw[at] = rng.integers(0, 256)
        index.write_bytes(raw)
        if bytes(raw) != good:
            with suppress(BenchError):
                read_checkpoint(index, values)
    index.write_bytes(b"")
    with pytest.raises(BenchError, match="magic"):
        read_checkpoint(index, values)


def test_crc32c_is_castagnolis(monkeypatch):
    assert crc32c(b"") == 0
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value is of 32 zeros
    assert crc32c(b"\0" * 32) == 0x8A9136AA
    data = np.random.default_rng(1).bytes(100_003)
    side_by_side = crc32c(data)
    monkeypatch.setattr(module, "LANES", len(data))
    assert crc32c(data) == side_by_side
