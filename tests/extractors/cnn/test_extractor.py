"""The extractor `cnn`: contract, weights from files and at random, memory, words."""

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.extract.pooling import start_sums
from bench.extract.transfer import Transfer
from bench.protocols import Heard
from bench.registry import create
from bench.resolver import resolve
from bench.run.recommend.record import about_extractor
from bench.testing import ExtractorContract
from bench.testing.pretend_device import NAME, pretend_device
from bench_extractors.cnn import extractor as module
from bench_extractors.cnn.networks import ARCHITECTURES, build
from bench_extractors.cnn.sizes import PARAMETERS


class TestContract(ExtractorContract):
    spec = "cnn:arch=small,weights=random"


class TestContractOfMobileNet(ExtractorContract):
    spec = "cnn:arch=mobilenet,weights=random"


ABOUT = {"data": "demo", "builtin": True, "cutoff": None, "signals": ["listens", "text"]}


def trained(folder, arch="small", words=None, **about):
    """Write a file as training does; return the network in it, and the file."""
    path = folder / "one.safetensors"
    heard = Heard.write(path.with_suffix(".tracks.parquet"), ["a", "b"], data="demo", cutoff=None, signals=["text"])
    torch.manual_seed(5)
    network = build(arch).train()
    network(torch.randn(4, 300, 64))  # running statistics that are not those of the start
    told = {**ABOUT, "tracks_sha256": heard.sha256, **about}
    create("extractors", f"cnn:weights=random,arch={arch}").save(path, network, told, words)
    return network, path


def waves(n=2):
    return torch.from_numpy(0.1 * np.random.default_rng(0).standard_normal((n, 48_000)).astype(np.float32))


def embedded(plugin, heard):
    plugin.load("cpu", "float32")
    ((_, frames),) = plugin.frames(heard)
    return frames


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_it_gives_what_the_trained_network_gives(arch, tmp_path):
    network, path = trained(tmp_path, arch)
    plugin = create("extractors", f"cnn:weights={path}")
    found = embedded(plugin, waves())
    assert found.shape == (2, 1, 128)
    with torch.inference_mode():
        wanted = network.eval()(plugin.front_end()(waves()))
    torch.testing.assert_close(found[:, 0], wanted, rtol=1e-4, atol=1e-5)
    assert plugin.parameters == PARAMETERS[arch] == sum(one.numel() for one in network.parameters())


def test_a_file_says_what_its_network_has_heard(tmp_path):
    _, path = trained(tmp_path)
    plugin = create("extractors", f"cnn:weights={path}")
    (heard,) = plugin.heard
    assert heard.ids == {"a", "b"}
    assert not plugin.untrained
    assert plugin.synthetic
    _, path = trained(tmp_path, builtin=False)
    assert not create("extractors", f"cnn:weights={path}").synthetic


def test_weights_of_synthesised_music_warn_on_other_data(tmp_path):
    _, path = trained(tmp_path)
    entry = resolve(f"cnn:weights={path}")
    assert entry.caveats(builtin=True) == []
    assert ["cnn" in text for text in entry.caveats(builtin=False)] == [True]
    assert resolve("cnn:weights=random").caveats(builtin=False) == []
    assert about_extractor(entry).synthetic
    trained(tmp_path, builtin=False)
    assert resolve(f"cnn:weights={path}").caveats(builtin=False) == []


def test_random_weights_follow_the_seed():
    one, two, other = (create("extractors", f"cnn:arch=small,weights=random,seed={seed}") for seed in (0, 0, 1))
    assert one.untrained
    assert not one.heard
    assert torch.equal(embedded(one, waves()), embedded(two, waves()))
    assert not torch.equal(embedded(one, waves()), embedded(other, waves()))
    assert one.fingerprint() == two.fingerprint() != other.fingerprint()


def test_other_weights_have_another_fingerprint(tmp_path):
    _, path = trained(tmp_path)
    first = create("extractors", f"cnn:weights={path}").fingerprint()
    trained(tmp_path, cutoff="2020-01-01T00:00:00")
    assert create("extractors", f"cnn:weights={path}").fingerprint() != first


def test_absent_weights_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "default.safetensors")
    for spec in ("cnn", f"cnn:weights={tmp_path / 'no.safetensors'}"):
        with pytest.raises(BenchError, match="bench train cnn:arch=mobilenet"):
            create("extractors", spec).prepare()


def test_weights_of_another_network_are_refused(tmp_path):
    _, path = trained(tmp_path)
    with pytest.raises(BenchError, match="arch=small"):
        create("extractors", f"cnn:arch=resnet18,weights={path}")
    with pytest.raises(BenchError, match="resnet18"):
        create("extractors", "cnn:arch=resnet")


def test_words_are_rows_of_the_labels(tmp_path):
    rows = np.eye(2, 128, dtype=np.float32)
    _, path = trained(tmp_path, words=(["slow", "fast red"], rows))
    words, vectors = create("extractors", f"cnn:weights={path}").words()
    assert list(words) == ["slow", "fast red"]
    assert np.array_equal(vectors, rows)
    with pytest.raises(BenchError, match="objective="):
        create("extractors", "cnn:weights=random").words()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_estimate_of_memory_is_near_the_peak(arch, batch):
    plugin = create("extractors", f"cnn:arch={arch},weights=random")
    with pretend_device() as log, torch.inference_mode():
        plugin.load(NAME, "float32")
        transfer = Transfer(NAME)
        start_sums(plugin, transfer.up(list(waves(batch).numpy())), transfer)()
        peak = log.peak
    assert 0.7 < plugin.memory(batch) / peak < 2.0


def test_the_shipped_weights_are_small_and_say_what_they_have_heard():
    plugin = create("extractors", "cnn")
    assert plugin.file.stat().st_size < 4 * 2**20
    assert (plugin.arch, plugin.synthetic, plugin.untrained) == ("mobilenet", True, False)
    (heard,) = plugin.heard
    assert heard.data == "demo-sparse"
    assert len(heard.ids) == 3_767  # the list is the one of the training: its hash is checked
    card = plugin.file.with_suffix(".md").read_text(encoding="utf-8")
    assert heard.sha256 in card
    assert "bench train" in card
    assert "happy" in plugin.words()[0]
