"""Weights from their origin into the cache: checked, converted once, used offline, refused when changed."""

import json
import os
import pickle
import socket
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from bench import weights
from bench.errors import BenchError
from bench.files.atomic import file_sha256

pytestmark = pytest.mark.usefixtures("cache")


def quiet(_line):
    pass


@pytest.fixture
def published(server, toy, declare):
    """Pinned weights on a server."""
    path, sha256 = toy
    server.files["/rev1/toy.npy"] = path.read_bytes()
    return declare(f"{server.url}/rev1/toy.npy", sha256=sha256, size=path.stat().st_size)


def test_pull_converts_once_and_records(published, server, cache):
    weights.pull(published, quiet)
    assert weights.present(published)
    folder = cache / "weights" / "toy"
    assert sorted(p.name for p in folder.iterdir()) == ["lock", "weights.json", "whole.safetensors"]
    assert np.array_equal(load_file(folder / "whole.safetensors")["toy.npy"], np.arange(50_000, dtype=np.float32))
    about = json.loads((folder / "weights.json").read_text())
    assert about["license"] == "CC BY-NC 4.0"
    assert about["non_commercial"] is True
    assert about["members"] == {"toy.npy": published.sources[0].sha256}
    assert about["parts"]["whole"]["sha256"] == file_sha256(folder / "whole.safetensors")
    assert about["parts"]["whole"]["values"] == 50_000
    weights.pull(published, quiet)
    assert len(server.asked) == 1


def test_several_that_pull_at_once_fetch_once(published, server):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: weights.pull(published, quiet), range(4)))
    assert len(server.asked) == 1
    assert weights.verify(published) == {"whole": None}


def test_once_present_no_network_is_touched(published, monkeypatch):
    weights.pull(published, quiet)

    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was touched")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr("subprocess.run", refuse)
    weights.ensure(published, "whole")
    assert torch.equal(weights.load(published, "whole")["toy.npy"], torch.arange(50_000.0))
    weights.pull(published, quiet)
    assert weights.verify(published) == {"whole": None}


@pytest.mark.parametrize("damage", ["flip", "truncate", "substitute"])
def test_a_damaged_or_substituted_file_is_refused(published, damage):
    weights.pull(published, quiet)
    path = weights.folder(published) / "whole.safetensors"
    raw, was = bytearray(path.read_bytes()), file_sha256(path)
    if damage == "flip":
        raw[-3] ^= 1
    elif damage == "truncate":
        del raw[-100:]
    else:
        weights.write_safetensors(path, {"toy.npy": np.zeros(50_000, np.float32)})
        raw = bytearray(path.read_bytes())
    path.write_bytes(raw)
    with pytest.raises(BenchError) as refused:
        weights.load(published, "whole")
    for word in (str(path), was, file_sha256(path), "bench weights pull toy"):
        assert word in str(refused.value)
    assert was in (weights.verify(published)["whole"] or "")
    weights.pull(published, quiet)
    assert weights.verify(published) == {"whole": None}


def test_a_substituted_download_is_refused_and_not_taken_up_again(published, server):
    good = server.files["/rev1/toy.npy"]
    server.files["/rev1/toy.npy"] = good[:-1] + b"x"
    with pytest.raises(BenchError, match=f"its sha256 should be {published.sources[0].sha256}"):
        weights.pull(published, quiet)
    assert not weights.present(published)
    server.files["/rev1/toy.npy"] = good
    weights.pull(published, quiet)
    assert weights.present(published)


def test_a_pinned_conversion_that_differs_is_refused(declare, toy):
    path, sha256 = toy
    with pytest.raises(BenchError, match="converts to sha256"):
        weights.add(declare("https://x.invalid/toy.npy", sha256=sha256, part="0" * 64), path, log=quiet)


def test_absent_names_file_origin_licence_and_command(declare):
    absent = declare("https://x.invalid/rev9/toy.npy", size=1_500_000)
    with pytest.raises(BenchError) as refused:
        weights.ensure(absent)
    for word in (
        "toy.npy",
        "1.5 MB",
        "CC BY-NC 4.0, non-commercial",
        "https://x.invalid/rev9",
        "bench weights pull toy",
    ):
        assert word in str(refused.value)
    with pytest.raises(BenchError, match="bench weights pull toy"):
        weights.load(absent, "whole")
    with pytest.raises(BenchError, match="bench weights pull toy"):
        weights.sha256(absent, "whole")


def test_a_pull_that_cannot_reach_its_origin_says_what_else_to_do(declare, server):
    with pytest.raises(BenchError, match=r" 404 .* toy\.npy .*: bench weights add toy"):
        weights.pull(declare(f"{server.url}/rev1/toy.npy"), quiet)


def test_a_hub_is_named_by_repository_and_revision(declare):
    on_hub = declare("https://huggingface.co/group/model/resolve/0123456789abcdef/toy.npy")
    assert on_hub.origins == "huggingface.co/group/model (0123456)"
    assert declare("https://x.invalid/rev9/toy.npy").origins == "https://x.invalid/rev9/toy.npy"


def test_one_tensor_can_be_looked_at(published):
    assert weights.peek(published, "whole", "toy.npy") is None
    weights.pull(published, quiet)
    found = weights.peek(published, "whole", "toy.npy")
    assert found is not None
    assert np.array_equal(found, np.arange(50_000, dtype=np.float32))
    assert weights.peek(published, "whole", "no such tensor") is None


def test_what_may_be_fetched_is_fetched_with_one_line_unless_offline(declare, server, toy, monkeypatch):
    server.files["/toy.npy"] = toy[0].read_bytes()
    free = declare(f"{server.url}/toy.npy", sha256=toy[1], automatic=True)
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(BenchError, match=r"(?i)offline"):
        weights.ensure(free)
    with pytest.raises(BenchError, match=r"(?i)offline"):
        weights.pull(free, quiet)
    assert server.asked == []
    monkeypatch.setenv("BENCH_OFFLINE", "0")
    lines = []
    weights.ensure(free, "whole", lines.append)
    assert len([line for line in lines if "fetching" in line]) == 1
    assert "CC BY-NC 4.0" in lines[0]
    assert server.url in lines[0]


def test_a_failed_fetch_still_says_how_to_get_it(declare, server):
    with pytest.raises(BenchError, match=r"(?s)bench weights add toy PATH.*could not be fetched now.*404"):
        weights.ensure(declare(f"{server.url}/gone", automatic=True), log=quiet)


def test_an_unknown_hash_is_recorded_and_a_change_shouted(declare, toy, tmp_path):
    unknown = declare("https://x.invalid/toy.npy")
    lines = []
    weights.add(unknown, toy[0], log=lines.append)
    assert f"sha256 {toy[1]} is recorded" in lines[0]
    assert weights.sha256(unknown, "whole") == file_sha256(weights.folder(unknown) / "whole.safetensors")
    other = tmp_path / "other" / "toy.npy"
    other.parent.mkdir()
    np.save(other, np.ones(3, np.float32))
    with pytest.raises(BenchError, match=f"HAS CHANGED: its sha256 should be {toy[1]}.*--accept {file_sha256(other)}"):
        weights.add(unknown, other, log=quiet)
    assert weights.load(unknown, "whole")["toy.npy"].shape == (50_000,)
    weights.add(unknown, other, accept=file_sha256(other), log=quiet)
    assert weights.load(unknown, "whole")["toy.npy"].shape == (3,)


def test_a_known_hash_cannot_be_accepted_away(published, tmp_path):
    np.save(tmp_path / "toy.npy", np.ones(3, np.float32))
    with pytest.raises(BenchError, match="It is refused"):
        weights.add(published, tmp_path / "toy.npy", accept=file_sha256(tmp_path / "toy.npy"), log=quiet)


def test_members_of_an_archive_become_parts(archive):
    path, both = archive
    assert weights.add(both, path, log=quiet) == ["a", "b"]
    assert weights.load(both, "b")["m.npy"].tolist() == [98] * 4


def test_an_unpacked_folder_is_recognised_by_hash(archive, tmp_path):
    path, both = archive
    with zipfile.ZipFile(path) as packed:
        packed.extractall(tmp_path / "unpacked")
    assert weights.add(both, tmp_path / "unpacked" / "pkg" / "a", log=quiet) == ["a"]
    assert weights.present(both, "a")
    assert not weights.present(both)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="holds no file of both"):
        weights.add(both, tmp_path / "empty", log=quiet)


def test_safetensors_bytes_depend_on_content_alone(tmp_path):
    tensors = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.array(True),
        "c": np.zeros((0, 4), np.float16),
        "d": np.arange(5)[::2],
    }
    weights.write_safetensors(tmp_path / "1", tensors)
    weights.write_safetensors(tmp_path / "2", dict(reversed(tensors.items())))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    found = load_file(tmp_path / "1")
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


class Malice:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_torch_checkpoint_is_read_and_code_in_it_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"w": torch.ones(3)}}, "good.pt")
    assert torch.equal(weights.read_torch(tmp_path / "good.pt")["state_dict"]["w"], torch.ones(3))
    torch.save({"w": torch.ones(3), "x": Malice()}, "bad.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Malice()))
    for name in ("bad.pt", "plain.pt"):
        with pytest.raises(BenchError, match=rf"{name} cannot be read as plain tensors"):
            weights.read_torch(tmp_path / name)
    assert not (tmp_path / "pwned").exists()
