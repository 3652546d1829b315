"""Estimates of an extractor's memory against the bytes of all tensors on a pretended GPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.extract.pooling import start_sums
from bench.extract.transfer import Transfer
from bench.registry import create, get
from bench.testing.pretend_device import NAME, pretend_device

CLOSE = (0.7, 2.0)
"""An estimate may be too low or too high by these factors."""
WIDE = {
    "choi": {"channels": (64, 128, 128, 128), "hidden": 32},
    "aisfx": {"channels": 64},
    "basic-pitch": {},
    "clap": {"channels": 128, "heads": (4, 8, 16, 32)},
    "dac": {"filters": 16},
    "dasheng": {"width": 768, "heads": 12},
    "encodec": {"filters": 16},
    "encodecmae": {"width": 768, "heads": 12, "ffn": 4096, "filters": 8},
    "glap": {"width": 768, "heads": 12, "joint": 1024},
    "jukebox": {"width": 640, "heads": 8, "context": 512, "block": 64},
    "maest": {"width": 768, "heads": 12},
    "matpac": {"width": 768, "heads": 12},
    "mert": {"width": 768, "heads": 12, "ffn": 3072, "groups": 16, "channels": 512},
    "mert2": {"width": 512, "heads": 8, "ffn": 2048, "mels": 128, "middle": 256},
    "music2vec": {"width": 768, "heads": 12, "ffn": 3072, "groups": 16, "channels": 512},
    "musicfm": {"width": 512, "heads": 8, "ffn": 2048, "mels": 128, "channels": 32},
    "mimi": {"filters": 16},
    "mule": {"slow": (128, 256, 768, 768), "slow_group": 64, "fused": (64, 128, 256, 1536)},
    "muq": {"width": 512, "heads": 8, "ffn": 2048, "mels": 128, "channels": 32},
    "muq-mulan": {"width": 256, "heads": 4},
    "musicnn": {},
    "omar-rq": {"width": 512, "heads": 8},
    "pe-av": {"width": 512, "hidden": 1376, "heads": 4},
}
"""Widths of the published networks, or nearly so where a window would take seconds; few layers."""
LONG = {
    "mert": {"width": 256, "ffn": 1024, "channels": 8},
    "music2vec": {"width": 256, "ffn": 1024, "channels": 8},
    "dasheng": {"width": 768, "heads": 12, "depth": 1},
    "encodecmae": {"width": 256, "ffn": 1024},
    "musicfm": {"width": 256, "heads": 4, "ffn": 1024},
    "jukebox": {"width": 480, "channels": 1},
}
"""Networks that need more memory for a block than for their front end."""


def plugin_of(name, precision="float32", **sizes):
    """Return a random network with few layers and other sizes; None if the extractor has one precision."""
    tiny = get("extractors", name).tiny()
    if precision != "float32" and "precision" not in vars(tiny.settings):
        return None
    settings = tiny.settings if precision == "float32" else replace(tiny.settings, precision=precision)
    return type(tiny)(settings, replace(tiny.config, **sizes))


def peak(plugin, batch):
    """Return the most bytes on the device while a model is loaded and runs one batch of full windows."""
    window = plugin.window
    samples = (window.length or round(plugin.clip.seconds * plugin.sample_rate)) + window.left + window.right
    waves = 0.1 * np.random.default_rng(0).standard_normal((batch, samples)).astype(np.float32)
    with pretend_device() as log, torch.inference_mode():
        plugin.load(NAME, "float32")
        transfer = Transfer(NAME)
        start_sums(plugin, transfer.up(list(waves)), transfer)()
        return log.peak


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", WIDE)
def test_the_estimate_of_a_tiny_network_is_close(name, batch, precision):
    if plugin := plugin_of(name, precision):
        assert CLOSE[0] < plugin.memory(batch) / peak(plugin, batch) < CLOSE[1]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", WIDE)
def test_the_estimate_of_a_wide_network_is_close(name, precision):
    if plugin := plugin_of(name, precision, **WIDE[name]):
        assert CLOSE[0] < plugin.memory(1) / peak(plugin, 1) < CLOSE[1]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", LONG)
def test_the_estimate_of_a_block_is_close(name, precision):
    plugin = plugin_of(name, precision, **LONG[name])
    assert CLOSE[0] < plugin.memory(6) / peak(plugin, 6) < CLOSE[1]


def test_the_estimate_of_mfcc_is_close():
    plugin = create("extractors", "mfcc")
    assert CLOSE[0] < plugin.memory(3) / peak(plugin, 3) < CLOSE[1]


def test_a_clip_that_is_not_cut_counts_as_a_whole_and_an_open_length_is_unknown():
    published = create("extractors", "mert:weights=random", lane="published")
    cut = create("extractors", "mert:weights=random,window=30")
    assert published.memory(2) == pytest.approx(cut.memory(2))
    assert create("extractors", "mert:weights=random,window=none").memory(1) is None
