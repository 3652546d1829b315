"""Every network extractor, in every precision, on a pretended GPU: equal vectors, no hidden waits, finite numbers."""

import dataclasses

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.extract.pooling import start_sums
from bench.extract.transfer import Transfer
from bench.registry import create, get
from bench.testing.pretend_device import NAME, pretend_device

NETWORKS = [
    "aisfx",
    "basic-pitch",
    "choi",
    "clap",
    "dasheng",
    "encodecmae",
    "glap",
    "jukebox",
    "matpac",
    "mert",
    "mert2",
    "music2vec",
    "mule",
    "muq",
    "muq-mulan",
    "musicfm",
    "musicnn",
]
LOWER = {"float32": 2e-6, "tf32": 2e-6, "bfloat16": 2e-2, "float16": 2e-3}
"""Largest difference to the CPU in the same precision. Autocast keeps norms in float32 on a GPU and not on a CPU."""


def tiny(name, precision="float32"):
    """Return a small random network in a precision; None if the extractor has one precision."""
    plugin = get("extractors", name).tiny()
    if precision != "float32":
        if "precision" not in {field.name for field in dataclasses.fields(plugin.settings)}:
            return None
        plugin.settings = dataclasses.replace(plugin.settings, precision=precision)
    return plugin


def noise(plugin, seconds=2.0, windows=3):
    """Return windows of noise (3, N)."""
    size = int(seconds * plugin.sample_rate)
    return 0.1 * np.random.default_rng(0).standard_normal((windows, size)).astype(np.float32)


def vectors(plugin, waves, device):
    """Return layer id -> sums over frames (B, D)."""
    transfer = Transfer(device)
    with torch.inference_mode():
        return {name: total for name, (_, total, _) in start_sums(plugin, transfer.up(waves), transfer)().items()}


@pytest.mark.parametrize("precision", LOWER)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_device_gives_the_vectors_of_the_cpu_and_the_host_waits_once_a_batch(name, precision):
    plugin = tiny(name, precision)
    if plugin is None:
        assert precision != "float32"
        return
    waves = noise(plugin)
    plugin.load("cpu", "float32")
    expected = vectors(plugin, waves, "cpu")
    with pretend_device() as log:
        plugin.load(NAME, "float32")
        vectors(plugin, waves, NAME)
        log.clear()
        found = vectors(plugin, waves, NAME)
        # Before: a copy up, a copy back for each layer, and in EncodecMAE one of its positions.
        assert dict(log.waits) == {("event", "transfer.py:wait"): 1}
        assert log.queued.total() == 2
    for layer, total in expected.items():
        gap = np.abs(found[layer] - total).max() / np.abs(total).max()
        assert gap <= LOWER[precision], f"layer {layer}: {gap}"


def signals(rate):
    """Return silence, a full-scale sine, and a kick drum, 2 s each."""
    t = np.arange(2 * rate) / rate
    kick = np.sin(2 * np.pi * 60 * t + 20 * np.exp(-30 * t)) * np.exp(-8 * t)
    return np.stack([np.zeros_like(t), np.sin(2 * np.pi * 1_000 * t), kick]).astype(np.float32)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", [name for name in NETWORKS if tiny(name, "float16")])
def test_silence_full_scale_and_a_kick_are_finite(name, precision):
    plugin = tiny(name, precision)
    with pretend_device():
        plugin.load(NAME, "float32")
        for layer, total in vectors(plugin, signals(plugin.sample_rate), NAME).items():
            assert np.isfinite(total).all(), f"layer {layer}"


@pytest.mark.parametrize("name", ["aisfx", "basic-pitch", "clap", "encodecmae", "musicnn", "musicfm", "jukebox"])
def test_a_device_without_float64_works_or_says_so(name):
    plugin = tiny(name)
    waves = noise(plugin)
    plugin.load("cpu", "float32")
    expected = vectors(plugin, waves, "cpu")
    with pretend_device(float64=False):
        plugin.load(NAME, "float32")
        found = vectors(plugin, waves, NAME)
    for layer, total in expected.items():
        np.testing.assert_allclose(found[layer], total, rtol=1e-4, atol=1e-4 * np.abs(total).max())


def test_a_network_that_needs_float64_is_refused_where_there_is_none():
    plugin = tiny("mert")
    plugin.config = dataclasses.replace(plugin.config, front="group")
    with pretend_device(float64=False), pytest.raises(BenchError, match="float64"):
        plugin.load(NAME, "float32")


@pytest.mark.parametrize(("precision", "setting"), [("float32", "highest"), ("tf32", "high"), ("bfloat16", "highest")])
@pytest.mark.parametrize("outside", ["high", "highest"])
def test_the_precision_of_products_does_not_depend_on_the_program(precision, setting, outside):
    plugin = tiny("mert", precision)
    with pretend_device():
        plugin.load(NAME, "float32")
        seen = []
        net = plugin._net

        class Spy:
            def front_end(self, waves):
                seen.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
                return net.front_end(waves)

            def __call__(self, *given):
                for states in net(*given):
                    seen.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
                    yield states

        plugin._net = Spy()
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(outside)
        try:
            vectors(plugin, noise(plugin), NAME)
            assert torch.get_float32_matmul_precision() == outside
        finally:
            torch.set_float32_matmul_precision(before)
    assert seen[0] == ("highest", False)  # the front end
    assert set(seen[1:]) == {(setting, setting == "high")}


def test_tf32_has_its_own_vectors_and_tolerance():
    exact = create("extractors", "mert:weights=random")
    rounded = create("extractors", "mert:weights=random,precision=tf32")
    assert exact.fingerprint() != rounded.fingerprint()
    assert (
        exact.tolerance < rounded.tolerance < create("extractors", "mert:weights=random,precision=bfloat16").tolerance
    )
