"""Dasheng: sizes, the checkpoint, the network against its definition, windows."""

from dataclasses import replace
from pathlib import PosixPath

import numpy as np
import pytest
import torch
from torch.nn import functional as fn

from bench import weights
from bench.errors import BenchError
from bench.registry import create
from bench.testing.clips import clip
from bench_extractors._checkpoint import count, reader
from bench_extractors._dasheng_net import DashengNet
from bench_extractors._dasheng_weights import SIZES, UNUSED, read_checkpoint
from bench_extractors.dasheng import RATE, TINY, Dasheng, DashengSettings

from .networks import TinyContract, apart, random_tensors, states


class TestDasheng(TinyContract):
    spec = "dasheng"


def published(path, tensors):
    """Write a checkpoint as upstream writes it."""
    more = {
        "front_end.0.spectrogram.window": torch.zeros(512),
        "front_end.0.mel_scale.fb": torch.zeros(257, 64),
        "init_bn.1.num_batches_tracked": torch.tensor(7),
    }
    torch.save({"model": tensors | more, "config": {"embed_dim": TINY.width, "outputdir": PosixPath("x")}}, path)
    return path


def plain(t, wave):
    """The state of every layer (P, D), from the definition, in float64."""
    t = {name: tensor.double() for name, tensor in t.items()}
    spectrum = torch.stft(wave.double(), 512, 160, window=torch.hann_window(512).double(), return_complex=True)
    top = 2595 * np.log10(1 + 8000 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, 66, dtype=torch.float64) / 2595) - 1)
    bins = torch.linspace(0, 8000, 257, dtype=torch.float64)
    up, down = (bins - edges[:-2, None]) / edges.diff()[:-1, None], (edges[2:, None] - bins) / edges.diff()[1:, None]
    level = 10 * (torch.minimum(up, down).clamp(min=0) @ spectrum.abs().square()).clamp(min=1e-10).log10()
    level = level.clamp(min=float(level.max()) - 120)
    level = fn.batch_norm(
        level[None], *(t[f"init_bn.1.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
    )
    x = fn.conv2d(level[None], t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=(64, 4))[0, :, 0].T
    x = x + t["time_pos_embed"][0, :, 0, : len(x)].T + t["freq_pos_embed"][0, :, 0, 0]
    out = [x]
    for at in range(TINY.depth):

        def norm(y, name):
            return fn.layer_norm(y, y.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], 1e-6)

        def linear(y, name):
            return fn.linear(y, t[f"{name}.weight"], t[f"{name}.bias"])

        block = f"blocks.{at}"
        q, k, v = (
            linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").view(len(x), 3, TINY.heads, -1).permute(1, 2, 0, 3)
        )
        mixed = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
        x = x + linear(mixed.transpose(0, 1).flatten(1), f"{block}.attn.proj")
        x = x + linear(fn.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")), f"{block}.mlp.fc2")
        out.append(norm(x, "norm") if at == TINY.depth - 1 else x)
    return out


@pytest.mark.parametrize("seconds", [1.0, 0.53])
def test_the_network_is_what_its_definition_says(seconds):
    tensors = random_tensors(TINY.tensors())
    wave = torch.from_numpy(clip(seconds, RATE, 0))
    wave[len(wave) // 2 :] = 0
    with torch.inference_mode():
        found = states(DashengNet(TINY, dict(tensors), torch.float32), wave[None])
        wanted = plain(tensors, wave)
    assert len(found) == TINY.depth + 1
    for ours, theirs in zip(found, wanted, strict=True):
        assert apart(ours[0], theirs.float()) < 1e-5


def test_a_loud_window_does_not_change_a_quiet_one():
    net = DashengNet(TINY, random_tensors(TINY.tensors()), torch.float32)
    quiet = torch.from_numpy(clip(1.0, RATE, 0))[None]
    quiet[:, 8_000:] = 0
    (alone,), (together,) = net.front_end(quiet), net.front_end(torch.cat([quiet, 1e4 * quiet]))
    assert torch.equal(alone[0], together[0])


@pytest.mark.parametrize(("name", "parameters"), [("base", 85_447_680), ("0.6B", 630_333_440), ("1.2B", 1_134_047_232)])
def test_parameters(name, parameters):
    """The published sizes are 86 M, 600 M and 1200 M; statistics and factors of the first norm are 4 x 64 more."""
    assert (
        count(SIZES[name][0].tensors())
        == parameters + 256
        == create("extractors", f"dasheng:weights={name}").parameters
    )


def test_operations_are_what_torch_counts():
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    net = DashengNet(TINY, random_tensors(TINY.tensors()), torch.bfloat16)  # float32 products are oneDNN's
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        states(net, torch.zeros(1, 10 * RATE))
    assert TINY.operations(10 * RATE) == pytest.approx(counter.get_total_flops(), rel=1e-3)


def test_every_tensor_of_a_checkpoint_arrives(tmp_path):
    tensors = random_tensors(TINY.tensors())
    path = published(tmp_path / "dasheng_base.pt", tensors)
    found = reader(TINY.tensors, inside="model", unused=UNUSED, read=read_checkpoint)({path.name: path})
    assert {name: tuple(array.shape) for name, array in found.items()} == TINY.tensors()
    assert all(np.array_equal(array, tensors[name].numpy()) for name, array in found.items())


def test_from_a_file_that_is_added_to_frames(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    small = replace(SIZES["base"][1], convert=reader(TINY.tensors, inside="model", unused=UNUSED, read=read_checkpoint))
    monkeypatch.setitem(SIZES, "base", (TINY, small))
    plugin = Dasheng(DashengSettings())
    assert plugin.unready()
    weights.add(small, published(tmp_path / "dasheng_base.pt", random_tensors(TINY.tensors())), log=lambda _line: None)
    assert plugin.unready() is None
    plugin.load("cpu", "float32")
    with torch.inference_mode():
        found = dict(plugin.frames(torch.from_numpy(clip(2.0, RATE, 0))[None]))
    assert {name: tuple(x.shape) for name, x in found.items()} == {str(n): (1, 50, 24) for n in range(3)}
    assert len(plugin.fingerprint()["sha256"]) == 64


@pytest.mark.parametrize(
    ("name", "file", "command"),
    [
        ("base", "dasheng_base.pt", "dasheng"),
        ("0.6B", "dasheng_06b.pt", "dasheng-0.6b"),
        ("1.2B", "dasheng_12b.pt", "dasheng-1.2b"),
    ],
)
def test_without_weights_it_says_what_brings_them(name, file, command, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", f"dasheng:weights={name}")
    for said in (file, "Apache-2.0", "zenodo.org/records/11511780", f"`bench weights pull {command}`"):
        with pytest.raises(BenchError, match=said):
            plugin.load("cpu", "float32")
    assert not plugin.non_commercial
    assert "mtg-jamendo" in plugin.trained_on
