"""Weights from their origin into the cache: checked, converted once, used offline, refused when changed."""

import json
import os
import pickle
import shutil
import socket
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from bench import weights
from bench.errors import BenchError
from bench.files.atomic import file_sha256
from bench.formats.safetensors import read_hashed, tensors_of

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


@pytest.mark.parametrize("name", ["lock", "download"])
def test_nothing_is_written_through_a_link(published, server, cache, tmp_path, name):
    victim = tmp_path / "victim"
    victim.mkdir() if name == "download" else victim.write_text("precious")
    (cache / "weights" / "toy").mkdir(parents=True)
    (cache / "weights" / "toy" / name).symlink_to(victim)
    with pytest.raises(BenchError, match="nothing is written there"):
        weights.pull(published, quiet)
    assert list(victim.iterdir()) == [] if name == "download" else victim.read_text() == "precious"
    assert server.asked == []


def test_the_bytes_that_are_hashed_are_those_that_are_used(published, monkeypatch):
    """Between hash and use somebody replaces the file: it is the checked one that is used."""
    weights.pull(published, quiet)
    path = weights.folder(published) / "whole.safetensors"
    checked = weights.store._problem

    def replaced_meanwhile(*given):
        weights.write_safetensors(path, {"toy.npy": np.zeros(50_000, np.float32)})
        return checked(*given)

    monkeypatch.setattr(weights.store, "_problem", replaced_meanwhile)
    assert torch.equal(weights.load(published, "whole")["toy.npy"], torch.arange(50_000.0))


def test_a_file_that_changes_while_it_is_converted_is_refused(declare, toy, cache):
    path, sha256 = toy
    found = declare("https://x.invalid/toy.npy", sha256=sha256)

    def swapped(members):
        np.save(path, np.ones(3, np.float32))
        return {"x": np.load(members["toy.npy"])}

    with pytest.raises(BenchError, match="changed while it was converted"):
        weights.add(replace(found, convert=swapped), path, log=quiet)
    assert not list(cache.rglob("*.safetensors"))


def test_a_part_of_another_revision_counts_as_absent(declare, server, toy):
    path, sha256 = toy
    server.files["/toy.npy"] = path.read_bytes()
    weights.pull(declare(f"{server.url}/toy.npy", sha256=sha256), quiet)
    np.save(path, np.ones(3, np.float32))
    newer = declare(f"{server.url}/toy.npy", sha256=file_sha256(path))
    assert not weights.present(newer, "whole")
    server.files["/toy.npy"] = path.read_bytes()
    weights.pull(newer, quiet)
    assert weights.load(newer, "whole")["toy.npy"].tolist() == [1, 1, 1]


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
    ours = tensors_of(read_hashed(tmp_path / "1")[0], "1")
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        assert np.array_equal(ours[name].numpy(), array)
        assert ours[name].numpy().dtype == array.dtype


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


class Copy:
    def __reduce__(self):
        return shutil.copyfile, ("file.pt", "pwned"), {"state": 1}


def test_what_is_ignored_in_a_torch_checkpoint_is_not_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(3), "x": Copy()}, "file.pt")
    with pytest.raises(BenchError, match="cannot be read as plain tensors"):
        weights.read_torch(tmp_path / "file.pt")
    assert torch.equal(weights.read_torch(tmp_path / "file.pt", ignore=("shutil.copyfile",))["w"], torch.ones(3))
    with pytest.raises(BenchError, match="cannot be read as plain tensors"):  # it is not remembered
        weights.read_torch(tmp_path / "file.pt")
    assert not (tmp_path / "pwned").exists()


def test_garbage_is_no_torch_checkpoint(tmp_path):
    torch.save({"w": torch.ones(300)}, tmp_path / "good.pt")
    good, rng, path = (tmp_path / "good.pt").read_bytes(), np.random.default_rng(0), tmp_path / "x.pt"
    contents = [b"", b"PK\x03\x04", b"\x80\x02}", good[:100], good[:-20], b"hello", pickle.dumps([1])[:-3]]
    contents += [rng.bytes(int(size)) for size in rng.integers(1, 400, 100)]
    contents += [bytes([first]) + rng.bytes(40) for first in range(256)]
    for content in contents:
        path.write_bytes(content)
        with suppress(BenchError):
            weights.read_torch(path)


@pytest.mark.parametrize(
    ("version", "safe"), [("2.5.1", False), ("2.9.1+cu128", False), ("2.10.0", True), ("3.0", True)]
)
def test_a_torch_that_runs_code_in_checkpoints_reads_none(tmp_path, monkeypatch, version, safe):
    torch.save({"w": torch.ones(3)}, tmp_path / "good.pt")
    monkeypatch.setattr(torch, "__version__", version)
    if safe:
        assert weights.read_torch(tmp_path / "good.pt")["w"].tolist() == [1, 1, 1]
    else:
        with pytest.raises(BenchError, match=r"install torch 2\.10"):
            weights.read_torch(tmp_path / "good.pt")
