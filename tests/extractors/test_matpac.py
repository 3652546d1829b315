"""MATPAC++: sizes, the checkpoint, the network against its definition, windows."""

import numpy as np
import pytest
import torch
from torch.nn import functional as fn

from bench.audio.windows import windows
from bench.errors import BenchError
from bench.registry import create
from bench.testing.clips import clip
from bench_extractors._checkpoint import count, reader
from bench_extractors._matpac_config import FULL, RATE, TINY, WINDOW
from bench_extractors._matpac_net import MATPACNet
from bench_extractors.matpac import FILE, MATPAC, PREFIX, UNUSED

from .networks import TinyContract, apart, random_tensors, states


class TestMATPAC(TinyContract):
    spec = "matpac"


def published(path, tensors):
    """Write a checkpoint as upstream writes it."""
    state = {PREFIX + name if name.startswith(("blocks.", "norm.")) else name: x for name, x in tensors.items()}
    tables = {"log_mel.MelSpectrogram.spectrogram.window": torch.zeros(400)}
    torch.save(state | tables, path)
    return {FILE: path}


def plain(t, wave):
    """The state of every layer (columns, 5 * width), from the definition, in float64."""
    t = {name: tensor.double() for name, tensor in t.items()}
    window = torch.hann_window(400, dtype=torch.float64)
    power = torch.stft(wave.double(), 400, 160, window=window, center=False, return_complex=True).abs().square()
    low, high = 50 / (200 / 3), 15 + 27 * np.log(8) / np.log(6.4)
    mels = torch.linspace(low, high, 82, dtype=torch.float64)
    edges = torch.where(mels < 15, 200 / 3 * mels, 1000 * 6.4 ** ((mels - 15) / 27))
    bins = torch.linspace(0, 8000, 201, dtype=torch.float64)
    up, down = (bins - edges[:-2, None]) / edges.diff()[:-1, None], (edges[2:, None] - bins) / edges.diff()[1:, None]
    filters = torch.minimum(up, down).clamp(min=0) * (2 / (edges[2:] - edges[:-2]))[:, None]
    level = ((filters @ power + 2**-23).log() + 7.056) / 4.193
    level = fn.pad(level, (0, -level.shape[1] % 16))
    grid = fn.conv2d(level[None, None], t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=16)[0]
    columns = grid.shape[2]
    positions = t["pos_embed"][0, 1:].view(5, 38, -1)[:, :columns]
    patches = (grid.permute(1, 2, 0) + positions).flatten(0, 1)
    x = torch.cat([t["cls_token"][0] + t["pos_embed"][0, :1], patches])
    out = []
    for at in range(TINY.depth):

        def norm(y, name):
            return fn.layer_norm(y, y.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], 1e-6)

        def linear(y, name):
            return fn.linear(y, t[f"{name}.weight"], t[f"{name}.bias"])

        block = f"blocks.{at}"
        qkv = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv")
        q, k, v = qkv.view(len(x), 3, TINY.heads, -1).permute(1, 2, 0, 3)
        mixed = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
        x = x + linear(mixed.transpose(0, 1).flatten(1), f"{block}.attn.proj")
        x = x + linear(fn.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")), f"{block}.mlp.fc2")
        state = norm(x, "norm") if at == TINY.depth - 1 else x
        out.append(torch.cat(list(state[1:].view(5, columns, -1)), dim=1))
    return out


@pytest.mark.parametrize("seconds", [6.08, 1.0, 0.03])
def test_the_network_is_what_its_definition_says(seconds):
    tensors = random_tensors(TINY.tensors())
    wave = torch.from_numpy(clip(seconds, RATE, 0))
    wave[len(wave) // 2 :] = 0
    with torch.inference_mode():
        found = states(MATPACNet(TINY, dict(tensors), torch.float32), wave[None])
        wanted = plain(tensors, wave)
    assert len(found) == TINY.depth
    for ours, theirs in zip(found, wanted, strict=True):
        assert apart(ours[0], theirs.float()) < 1e-5


@pytest.mark.parametrize("seconds", [20.0, 6.085, 12.21, 12.17])
def test_windows_have_the_frames_of_the_whole_recording(seconds):
    wave = clip(seconds, RATE, 0)
    pieces = list(windows([wave], WINDOW, MATPAC.clip, RATE))
    counts = [(len(piece) - 400) // 160 + 1 for piece in pieces]
    assert sum(counts) == (len(wave) - 400) // 160 + 1
    assert all(count == 608 for count in counts[:-1])


def test_parameters():
    """The page of the weights says 85.4 M."""
    assert count(FULL.tensors()) == create("extractors", "matpac").parameters == 85_400_832


def test_operations_are_what_torch_counts():
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    net = MATPACNet(TINY, random_tensors(TINY.tensors()), torch.bfloat16)  # float32 products are oneDNN's
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        states(net, torch.zeros(1, WINDOW.length))
    assert TINY.operations(WINDOW.length) == pytest.approx(counter.get_total_flops(), rel=1e-3)


def test_every_tensor_of_a_checkpoint_arrives(tmp_path):
    tensors = random_tensors(TINY.tensors())
    found = reader(TINY.tensors, prefix=PREFIX, unused=UNUSED)(published(tmp_path / FILE, tensors))
    assert {name: tuple(array.shape) for name, array in found.items()} == TINY.tensors()
    assert all(np.array_equal(array, tensors[name].numpy()) for name, array in found.items())


def test_a_checkpoint_of_another_length_is_refused(tmp_path):
    """Those that were fine-tuned on AudioSet have positions for 992 frames."""
    tensors = random_tensors(TINY.tensors()) | {"pos_embed": torch.zeros(1, 311, TINY.width)}
    with pytest.raises(BenchError, match="pos_embed"):
        reader(TINY.tensors, prefix=PREFIX, unused=UNUSED)(published(tmp_path / FILE, tensors))


def test_without_weights_it_says_what_brings_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", "matpac")
    for said in (FILE, "non-commercial", "github.com/aurianworld/matpac", "`bench weights pull matpac`"):
        with pytest.raises(BenchError, match=said):
            plugin.load("cpu", "float32")
    assert plugin.non_commercial
    assert list(plugin.layers)[-1] == "12"
    assert plugin.layers == {str(layer): 3840 for layer in range(1, 13)}
