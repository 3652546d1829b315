"""Downloads from a local server that breaks off, forgets ranges, or has something else."""

import os
import urllib.request

import numpy as np
import pytest

from bench.errors import BenchError
from bench.weights import download
from bench.weights.download import _SameHost

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


def test_a_redirect_stays_within_the_host(server, tmp_path):
    server.files["/w.bin"] = DATA
    server.moved = {
        "/near": "/w.bin",
        "/far": "http://localhost:1/w.bin",
        "/plain": "http://example.invalid/w.bin",
        "/round": "/round",
    }
    assert download(f"{server.url}/near", tmp_path / "near", log=quiet).read_bytes() == DATA
    with pytest.raises(BenchError, match=r"sends us to localhost, which does not belong to 127\.0\.0\.1"):
        download(f"{server.url}/far", tmp_path / "far", log=quiet)
    with pytest.raises(BenchError, match="over https only"):
        download(f"{server.url}/plain", tmp_path / "plain", log=quiet)
    with pytest.raises(BenchError, match="/round"):
        download(f"{server.url}/round", tmp_path / "round", log=quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["near"]


@pytest.mark.parametrize(
    ("asked", "offered", "followed"),
    [
        ("https://huggingface.co/a/b", "https://us.aws.cdn.hf.co/x", True),
        ("https://huggingface.co/a/b", "https://cdn-lfs.huggingface.co/x", True),
        ("https://huggingface.co/a/b", "https://hf.co.evil.example/x", False),
        ("https://huggingface.co/a/b", "https://evilhf.co/x", False),
        ("https://huggingface.co/a/b", "https://user@evil.example/huggingface.co", False),
        ("https://github.com/a/b", "https://release-assets.githubusercontent.com/x", True),
        ("https://zenodo.org/a", "https://zenodo.org/b", True),
        ("https://zenodo.org/a", "https://cdn.hf.co/b", False),
    ],
)
def test_hubs_may_send_us_to_their_storage_and_nowhere_else(asked, offered, followed):
    request = urllib.request.Request(asked)
    if followed:
        assert _SameHost().redirect_request(request, None, 302, "", {}, offered).full_url == offered
    else:
        with pytest.raises(BenchError, match="does not belong to"):
            _SameHost().redirect_request(request, None, 302, "", {}, offered)


def test_a_file_of_unknown_size_is_cut_off_and_not_kept(server, tmp_path, monkeypatch):
    server.files["/w.bin"] = DATA
    monkeypatch.setitem(download.__globals__, "MOST", 2_000_000)
    with pytest.raises(BenchError, match="at most 2000000 are taken"):
        download(f"{server.url}/w.bin", tmp_path / "w.bin", log=quiet)
    server.lengths = False
    with pytest.raises(BenchError, match="more than the expected 2000000 bytes"):
        download(f"{server.url}/w.bin", tmp_path / "w.bin", log=quiet)
    with pytest.raises(BenchError, match="more than the expected 1000 bytes"):
        download(f"{server.url}/w.bin", tmp_path / "w.bin", size=1000, log=quiet)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("name", ["w.bin", "w.bin.part"])
@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "pipe", "folder"])
def test_nothing_is_written_through_a_link(server, tmp_path, name, kind):
    server.files["/w.bin"] = DATA
    victim, place = tmp_path / "victim", tmp_path / "w" / name
    place.parent.mkdir()
    victim.write_text("precious")
    {
        "link": lambda: place.symlink_to(victim),
        "dangling": lambda: place.symlink_to(tmp_path / "absent"),
        "hard link": lambda: os.link(victim, place),
        "pipe": lambda: os.mkfifo(place),
        "folder": place.mkdir,
    }[kind]()
    with pytest.raises(BenchError, match="nothing is written there"):
        download(f"{server.url}/w.bin", tmp_path / "w" / "w.bin", log=quiet)
    assert victim.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["victim", "w"]
    assert server.asked == []
