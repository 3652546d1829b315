"""A bz2 log gives the same blocks with rapidgzip as with the standard library."""

import bz2
import random

import pytest

from bench.listening import text_blocks
from bench.listening.text_table import Damage


@pytest.fixture(params=["bz2", "rapidgzip"])
def read(request, tmp_path, monkeypatch):
    """Decompress bytes by way of a file."""
    if request.param == "rapidgzip":
        pytest.importorskip("rapidgzip", "0.16.2")
    else:
        monkeypatch.setattr(text_blocks, "_has_rapidgzip", lambda: False)
    monkeypatch.setattr(text_blocks, "BLOCK", 1 << 16)

    def read(content: bytes) -> bytes:
        path = tmp_path / "log.tsv.bz2"
        path.write_bytes(content)
        return b"".join(text_blocks._blocks(path, "bz2"))

    return read


def text(size: int, seed: int = 0) -> bytes:
    return bytes(random.Random(seed).choices(b"user\titem 0123456789\n", k=size))


def test_files_of_one_and_of_several_streams(read):
    for seed, sizes in enumerate([(0,), (1,), (250_000,), (700, 0, 250_000, 1)]):
        data = text(sum(sizes), seed)
        streams, at = [], 0
        for level, size in enumerate(sizes, 1):
            streams.append(bz2.compress(data[at : at + size], level))
            at += size
        assert read(b"".join(streams)) == data
        assert read(b"".join(streams) + b"trailing bytes") == data


def test_damaged_and_truncated_files_are_refused(read):
    data = text(350_000)
    packed = bz2.compress(data, 1)
    rng = random.Random(1)
    for place in [4, 9, 12, len(packed) - 5, *(rng.randrange(4, len(packed)) for _ in range(20))]:
        broken = bytearray(packed)
        broken[place] ^= 1 << rng.randrange(8)
        with pytest.raises(Damage):
            read(bytes(broken))
    for end in (3, 4, 9, 10, 13, 40, len(packed) // 2, len(packed) - 1):
        with pytest.raises(Damage):
            read(packed[:end])
        with pytest.raises(Damage):
            read(packed + packed[:end])


def test_reading_may_stop_early(tmp_path, monkeypatch):
    monkeypatch.setattr(text_blocks, "BLOCK", 1 << 16)
    (tmp_path / "log.bz2").write_bytes(bz2.compress(text(400_000), 1))
    blocks = text_blocks._blocks(tmp_path / "log.bz2", "bz2")
    assert next(blocks)
    blocks.close()
