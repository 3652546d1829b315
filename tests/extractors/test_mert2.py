"""MERT-v2: sizes, the checkpoint, the network against its definition, windows."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as fn

from bench.errors import BenchError
from bench.registry import create
from bench.testing.clips import clip
from bench_extractors._checkpoint import count
from bench_extractors._mert2_config import FULL, TINY
from bench_extractors._mert2_weights import FILE, SMALLEST, TABLES, converter
from bench_extractors._modules import load_module
from bench_extractors._musicfm_net import DecibelMel

from .networks import TinyContract, apart, random_tensors, states

RATE = 24_000


class TestMERT2(TinyContract):
    spec = "mert2"


def upstream_shapes(config):
    """Name and shape of every tensor of a published file, written from upstream's code."""
    out = {f"feature_extractor.mel_{kind}": (config.mels,) for kind in ("mean", "std")}
    out |= {TABLES[0]: (2048,), TABLES[1]: (1025, config.mels)}

    def pair(name, *shape):
        out[f"{name}.weight"], out[f"{name}.bias"] = shape, shape[:1]

    before = config.mels
    for at, (width, layers) in enumerate(zip(config.widths, config.stages, strict=True)):
        stage = f"subsampling_module.{at}"
        if at:
            pair(f"{stage}.resampling_layer.0", before)
            pair(f"{stage}.resampling_layer.2", width, before, 2)
        for layer in (f"{stage}.convnext_layers.{number}" for number in range(layers)):
            pair(f"{layer}.depthwise_block.1", width, 1, 7)
            pair(f"{layer}.pointwise_block.0", width)
            pair(f"{layer}.pointwise_block.1", 4 * width, width)
            for kind in ("weight", "bias"):
                out[f"{layer}.pointwise_block.3.{kind}"] = (1, 1, 4 * width)
            pair(f"{layer}.pointwise_block.4", width, 4 * width)
        before = width
    d = config.width
    for block in (f"layers.{number}" for number in range(config.depth)):
        for norm in ("ffn1_layer_norm", "attn_layer_norm", "ffn2_layer_norm", "final_layer_norm"):
            pair(f"{block}.{norm}", d)
        for half in ("ffn1", "ffn2"):
            pair(f"{block}.{half}.w_1", config.ffn, d)
            pair(f"{block}.{half}.w_2", d, config.ffn)
        for kind in ("query", "key", "value", "out"):
            pair(f"{block}.attn.{kind}_proj", d, d)
        pair(f"{block}.conv_module.layer_norm", d)
        pair(f"{block}.conv_module.conv_block.4.1", d)
        out[f"{block}.conv_module.conv_block.1.weight"] = (2 * d, d, 1)
        out[f"{block}.conv_module.conv_block.3.weight"] = (d, 1, config.kernel)
        out[f"{block}.conv_module.conv_block.6.weight"] = (d, d, 1)
    return out


@pytest.fixture
def published(tmp_path):
    """A checkpoint as upstream writes it, of the tiny size."""
    tensors = random_tensors(upstream_shapes(TINY))
    tensors["feature_extractor.mel_mean"] = torch.linspace(-20, 10, TINY.mels)
    tensors["feature_extractor.mel_std"] = torch.linspace(0, 20, TINY.mels)
    save_file(tensors, tmp_path / FILE)
    return tensors, {FILE: tmp_path / FILE}


def plain(t, levels):
    """The state after each block (T, width), from the definition, in float64; levels (mels, frames) in dB."""
    t = {name: tensor.double() for name, tensor in t.items()}

    def norm(x, name, eps=1e-5):
        return fn.layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], eps)

    def linear(x, name):
        return fn.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    def conv(x, name, **how):
        return fn.conv1d(x.T[None], t[f"{name}.weight"], t.get(f"{name}.bias"), **how)[0].T

    mean, std = (t[f"feature_extractor.mel_{kind}"] for kind in ("mean", "std"))
    x = (levels.double().T - mean) / std.clamp(min=1e-5)
    for at, (width, layers) in enumerate(zip(TINY.widths, TINY.stages, strict=True)):
        stage = f"subsampling_module.{at}"
        if at:
            x = conv(norm(x, f"{stage}.resampling_layer.0", 1e-6), f"{stage}.resampling_layer.2", stride=2)
        for layer in (f"{stage}.convnext_layers.{number}" for number in range(layers)):
            y = norm(conv(x, f"{layer}.depthwise_block.1", padding=3, groups=width), f"{layer}.pointwise_block.0", 1e-6)
            y = fn.gelu(linear(y, f"{layer}.pointwise_block.1"))
            size = y.square().sum(0).sqrt()
            gain, bias = (t[f"{layer}.pointwise_block.3.{kind}"][0, 0] for kind in ("weight", "bias"))
            y = gain * y * size / (size.mean() + 1e-6) + bias + y
            x = x + linear(y, f"{layer}.pointwise_block.4")
    out, half = [], TINY.width // TINY.heads // 2
    angles = torch.arange(len(x))[:, None] / 10_000 ** (torch.arange(half, dtype=torch.float64) / half)

    def turned(x):
        """Rotate channels k and k + half of each head (heads, T, 2 half) as one complex number."""
        low, high = x.chunk(2, -1)
        spun = torch.complex(low, high) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([spun.real, spun.imag], -1)

    for block in (f"layers.{number}" for number in range(TINY.depth)):
        for part in ("ffn1", "attention", "ffn2"):
            if part != "attention":
                y = fn.gelu(linear(norm(x, f"{block}.{part}_layer_norm"), f"{block}.{part}.w_1"))
                x = x + linear(y, f"{block}.{part}.w_2") / 2
                continue
            y = norm(x, f"{block}.attn_layer_norm")
            q, k, v = (
                linear(y, f"{block}.attn.{kind}_proj").view(len(y), TINY.heads, -1).transpose(0, 1)
                for kind in ("query", "key", "value")
            )
            mixed = (turned(q) @ turned(k).mT / (2 * half) ** 0.5).softmax(-1) @ v
            x = x + linear(mixed.transpose(0, 1).flatten(1), f"{block}.attn.out_proj")
            module = f"{block}.conv_module"
            y = fn.glu(conv(norm(x, f"{module}.layer_norm"), f"{module}.conv_block.1"), dim=-1)
            y = conv(y, f"{module}.conv_block.3", padding=TINY.kernel // 2, groups=TINY.width)
            x = x + conv(fn.gelu(norm(y, f"{module}.conv_block.4.1")), f"{module}.conv_block.6")
        x = norm(x, f"{block}.final_layer_norm")
        out.append(x)
    return out


@pytest.mark.parametrize("samples", [24_000, 7_199, 1_025])
def test_the_network_is_what_its_definition_says(samples, published):
    tensors, members = published
    found = {name: torch.from_numpy(array.copy()) for name, array in converter(TINY)(members).items()}
    # Upstream divides by 1e-5 where a deviation is 0; that band would drown the others in float32.
    tensors["feature_extractor.mel_std"] = found["mel.std"] = torch.linspace(5, 20, TINY.mels)
    wave = torch.from_numpy(clip(samples / RATE, RATE, 0))
    with torch.inference_mode():
        ours = states(load_module(TINY.module, found, torch.float32), wave[None])
        wanted = plain(tensors, DecibelMel(TINY.mels)(wave[None])[0])
    assert len(ours) == TINY.depth
    for a, b in zip(ours, wanted, strict=True):
        assert a.shape == (1, samples // 960, TINY.width)
        assert apart(a[0], b.float()) < 1e-5


def test_every_tensor_of_a_checkpoint_arrives(published):
    tensors, members = published
    found = converter(TINY)(members)
    assert {name: array.shape for name, array in found.items()} == dict(TINY.tensors())
    assert found["mel.std"][0] == SMALLEST
    assert np.array_equal(found["mel.std"][1:], tensors["feature_extractor.mel_std"].numpy()[1:])
    assert sum(array.size for array in found.values()) == sum(
        tensor.numel() for name, tensor in tensors.items() if name not in TABLES
    )


def test_a_checkpoint_without_levels_is_refused(published):
    tensors, members = published
    del tensors["feature_extractor.mel_mean"]
    save_file(tensors, members[FILE])
    with pytest.raises(BenchError, match=r"mel\.mean"):
        converter(TINY)(members)


def test_parameters():
    """The published file has 876 tensors; its page says 632 M. Levels of the spectrogram are no parameters."""
    shapes = FULL.tensors()
    assert len(shapes) + len(TABLES) == len(upstream_shapes(FULL)) == 876
    assert count(shapes) - 2 * FULL.mels == create("extractors", "mert2").parameters == 632_295_808


def test_operations_are_what_torch_counts():
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    net = load_module(TINY.module, random_tensors(TINY.tensors()), torch.bfloat16)  # float32 products are oneDNN's
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        states(net, torch.zeros(1, 3 * RATE))
    assert TINY.operations(3 * RATE) == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize(("weights", "seconds", "tail"), [("30s", 30, 1), ("fullsong", 360, 30)])
def test_windows_are_as_long_as_in_training(weights, seconds, tail):
    window = create("extractors", f"mert2:weights={weights}").window
    assert (window.length, window.hop, window.shortest_tail) == (seconds * RATE, seconds * RATE, tail * RATE)


@pytest.mark.parametrize(("weights", "repository"), [("30s", "MERT-v2-30s"), ("fullsong", "MERT-v2-FullSong")])
def test_without_weights_it_says_what_brings_them(weights, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", f"mert2:weights={weights}")
    for said in (FILE, "CC BY-NC 4.0", repository, f"`bench weights pull mert2-{weights}`"):
        with pytest.raises(BenchError, match=said):
            plugin.load("cpu", "float32")
    assert plugin.non_commercial
    assert plugin.layers == {str(layer): 1024 for layer in range(1, 25)}
