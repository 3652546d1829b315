"""Downloads from a local server that breaks off, forgets ranges, or has something else."""

import numpy as np
import pytest

from bench.errors import BenchError
from bench.weights import download

DATA = np.random.default_rng(0).bytes(3_000_000)


def quiet(_line):
    pass


def test_a_whole_file_arrives(server, tmp_path):
    server.files["/w.bin"] = DATA
    path = download(f"{server.url}/w.bin", tmp_path / "w.bin", size=len(DATA), log=quiet)
    assert path.read_bytes() == DATA
    assert [p.name for p in tmp_path.iterdir()] == ["w.bin"]


def test_it_goes_on_where_the_connection_broke(server, tmp_path):
    server.files["/w.bin"] = DATA
    server.breaks = [1_000_000, 500_000]
    download(f"{server.url}/w.bin", tmp_path / "w.bin", log=quiet)
    assert (tmp_path / "w.bin").read_bytes() == DATA
    assert server.asked == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_later_process_goes_on(server, tmp_path):
    server.files["/w.bin"] = DATA
    (tmp_path / "w.bin.part").write_bytes(DATA[:1_234_567])
    download(f"{server.url}/w.bin", tmp_path / "w.bin", size=len(DATA), log=quiet)
    assert server.asked == ["bytes=1234567-"]
    assert (tmp_path / "w.bin").read_bytes() == DATA


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.files["/w.bin"], server.ranges = DATA, False
    (tmp_path / "w.bin.part").write_bytes(b"x" * 1000)
    download(f"{server.url}/w.bin", tmp_path / "w.bin", log=quiet)
    assert (tmp_path / "w.bin").read_bytes() == DATA


def test_a_part_longer_than_the_file_is_dropped(server, tmp_path):
    server.files["/w.bin"] = DATA[:100]
    (tmp_path / "w.bin.part").write_bytes(DATA[:500])
    download(f"{server.url}/w.bin", tmp_path / "w.bin", log=quiet)
    assert (tmp_path / "w.bin").read_bytes() == DATA[:100]


def test_what_came_is_kept_when_it_cannot_be_finished(server, tmp_path):
    server.files["/w.bin"] = DATA
    server.breaks = [1_000_000, 0, 0, 0, 0, 0]
    with pytest.raises(BenchError, match=r"/w\.bin: .* 1000000 of 3000000 bytes\. 1\.0 MB"):
        download(f"{server.url}/w.bin", tmp_path / "w.bin", log=quiet)
    assert not (tmp_path / "w.bin").exists()
    server.breaks = []
    download(f"{server.url}/w.bin", tmp_path / "w.bin", log=quiet)
    assert (tmp_path / "w.bin").read_bytes() == DATA


def test_refusals_name_the_address(server, tmp_path):
    with pytest.raises(BenchError, match=r"/none\.bin: the server says 404"):
        download(f"{server.url}/none.bin", tmp_path / "w.bin", log=quiet)
    server.files["/w.bin"] = DATA
    with pytest.raises(BenchError, match=r"/w\.bin: .* 3000000 bytes, expected 5"):
        download(f"{server.url}/w.bin", tmp_path / "w.bin", size=5, log=quiet)
    with pytest.raises(BenchError, match="over https only"):
        download("http://example.invalid/w.bin", tmp_path / "w.bin", log=quiet)
    with pytest.raises(BenchError, match="over https only"):
        download("file:///etc/hostname", tmp_path / "w.bin", log=quiet)
