"""bz2 block by block gives what `bz2.open` gives, whatever the file."""

import bz2
import os
import random

import pytest

from bench.data import bunzip
from bench.data.bunzip import open_bz2


def told(opener, path):
    """The content, or the error."""
    try:
        with opener(path) as stream:
            return stream.read()
    except (OSError, EOFError, ValueError) as error:
        return type(error), str(error)


@pytest.fixture
def serial(monkeypatch):
    """How often the standard library had to help out."""
    calls = []
    monkeypatch.setattr(bunzip, "_skip", lambda file, count: calls.append(count) or file.read(count))
    return calls


def text(size: int, seed: int = 0) -> bytes:
    return bytes(random.Random(seed).choices(b"user\titem 0123456789\n", k=size))


@pytest.mark.parametrize("chunk", [13, 200, 1 << 22])
def test_streams_of_every_size_and_number(tmp_path, monkeypatch, serial, chunk):
    monkeypatch.setattr(bunzip, "CHUNK", chunk)
    rng = random.Random(chunk)
    for turn in range(30):
        size = rng.choice([0, 1, 700, 3_000 if chunk < 1000 else 250_000])
        data = text(size, turn) if turn % 2 else os.urandom(size)
        parts = [bz2.compress(data[: rng.randint(0, size)], rng.randint(1, 9)) for _ in range(rng.randint(1, 3))]
        (tmp_path / "f.bz2").write_bytes(b"".join(parts))
        assert told(open_bz2, tmp_path / "f.bz2") == told(bz2.open, tmp_path / "f.bz2")
    assert not serial, "valid files must be unpacked block by block"


def test_several_threads_keep_the_order(tmp_path, serial):
    data = text(1_500_000)
    (tmp_path / "f.bz2").write_bytes(bz2.compress(data, 1))  # 15 blocks
    with open_bz2(tmp_path / "f.bz2", workers=4) as stream:
        assert stream.read(10) == data[:10]
        assert stream.read() == data[10:]
    assert not serial


def test_damage_is_reported_as_the_standard_library_does(tmp_path):
    packed = bz2.compress(text(350_000), 1)
    rng = random.Random(1)
    places = [0, 3, 4, 9, 12, len(packed) - 1, len(packed) - 5, len(packed) - 10]
    places += [rng.randrange(len(packed)) for _ in range(25)]
    for place in places:
        broken = bytearray(packed)
        broken[place] ^= 1 << rng.randrange(8)
        (tmp_path / "f.bz2").write_bytes(broken)
        assert told(open_bz2, tmp_path / "f.bz2") == told(bz2.open, tmp_path / "f.bz2"), place
    for end in (
        b"",
        packed[:3],
        packed[:9],
        packed[:-1],
        packed[: len(packed) // 2],
        packed + b"garbage",
        packed + b"BZh9",
    ):
        (tmp_path / "f.bz2").write_bytes(end)
        assert told(open_bz2, tmp_path / "f.bz2") == told(bz2.open, tmp_path / "f.bz2")


def test_a_magic_number_by_chance_inside_a_block(tmp_path, monkeypatch, serial):
    """Some compressed data contains the digits that begin a block: what is cut there cannot be unpacked."""
    data = text(300_000)
    (tmp_path / "f.bz2").write_bytes(bz2.compress(data, 1))
    found = bunzip._marks

    def marks(raw, start, stop):
        real = found(raw, start, stop)
        return sorted([*real, (real[1][0] + 5_001, False)]) if len(real) > 2 else real

    monkeypatch.setattr(bunzip, "_marks", marks)
    assert told(open_bz2, tmp_path / "f.bz2") == data
    assert len(serial) == 1


def test_closing_early(tmp_path):
    (tmp_path / "f.bz2").write_bytes(bz2.compress(text(400_000), 1))
    stream = open_bz2(tmp_path / "f.bz2")
    assert stream.readline()
    stream.close()
    assert stream.closed
