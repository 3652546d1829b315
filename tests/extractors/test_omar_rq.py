"""OMAR-RQ: contract, sizes, tokens, attention, checkpoints and their configuration."""

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.registry import create, get
from bench.testing.clips import clip
from bench_extractors import _omar_rq_weights as files
from bench_extractors._conformer import rotation
from bench_extractors._omar_rq_config import FULL, MEL, SLOW, TINY, Config
from bench_extractors.omar_rq import OmarRQ, OmarRQSettings

from .networks import TinyContract, built, random_tensors, states

TINY_MEL = Config(samples=1024, mels=8, width=32, depth=2, heads=2)


class TestOmarRQ(TinyContract):
    spec = "omar-rq"


class TestOmarRQMel(TinyContract):
    def make(self):
        return OmarRQ(OmarRQSettings("random"), TINY_MEL)


@pytest.mark.parametrize("name", files.VARIANTS)
def test_declared_sizes_are_those_of_the_network(name):
    plugin = create("extractors", f"omar-rq:weights={name}")
    shapes = plugin.config.tensors()
    learned = [shape for name, shape in shapes.items() if "running" not in name and not name.startswith("level")]
    assert plugin.parameters == sum(int(np.prod(shape)) for shape in learned)
    assert set(plugin.layers.values()) == {1024}
    assert list(plugin.layers) == [str(n) for n in range(24)]
    assert plugin.default_layer == "6"
    assert plugin.sample_rate == (16_000 if name in ("base", "multicodebook") else 24_000)
    assert plugin.window.length == 30 * plugin.sample_rate


@pytest.mark.parametrize(("config", "rate", "count"), [(FULL, 24_000, 750), (SLOW, 24_000, 562), (MEL, 16_000, 469)])
def test_tokens_of_a_window(config, rate, count):
    assert config.tokens(30 * rate) == count
    small = Config(samples=config.samples, mels=config.mels, width=8, depth=1, heads=1)
    net, _ = built(small.module)
    with torch.inference_mode():
        assert states(net, torch.zeros(1, 30 * rate))[0].shape == (1, count, 8)


def test_a_frame_attends_to_earlier_ones_only():
    """A change of the last token reaches earlier frames through convolutions alone: 15 frames a block."""
    net, _ = built(TINY.module)
    waves = torch.from_numpy(clip(4, 24_000, 0))[None]
    changed = waves.clone()
    changed[:, -960:] += 0.5
    with torch.inference_mode():
        apart = (states(net, waves)[-1] - states(net, changed)[-1]).abs().amax(-1)[0]
    assert float(apart[:-31].max()) < 1e-5 < float(apart[-31:].max())


def test_attention_is_the_plain_one_with_neighbouring_channels_rotated():
    """Channels 2i and 2i + 1 are one complex number, turned by the position; softmax over earlier tokens."""
    net, tensors = built(TINY.module)
    attention = net.blocks[0].attention
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 6, 32)).astype(np.float32))
    weight = tensors["blocks.0.attention.qkv.weight"].double()
    query, key, value = (x.double() @ weight.T).view(6, 3, 2, 16).permute(1, 2, 0, 3)
    turns = torch.exp(1j * torch.arange(6)[:, None] / 10_000 ** (torch.arange(8).double() / 8))
    query, key = (torch.view_as_complex(each.unflatten(-1, (8, 2)).contiguous()) * turns for each in (query, key))
    logits = (query @ key.mH).real / 4 + torch.full((6, 6), -torch.inf).triu(1)
    mixed = (logits.softmax(-1) @ value).transpose(0, 1).reshape(6, 32)
    wanted = mixed @ tensors["blocks.0.attention.proj.weight"].double().T + tensors["blocks.0.attention.proj.bias"]
    with torch.inference_mode():
        found = attention(x, *rotation(6, 16, x.device))[0]
    assert float((found - wanted).abs().max() / wanted.abs().max()) < 1e-5


# -- checkpoints ----------------------------------------------------------------------------------------

GIN = """
new_freq = 24000
nets.conformer.Conformer.embed_dim = 32
nets.conformer.Conformer.depth = 2
nets.conformer.Conformer.num_heads = 2
nets.conformer.Conformer.mlp_ratio = 4.0
nets.conformer.Conformer.mlp_residual_factor = 4.0
nets.conformer.Conformer.use_deepnorm = True
nets.conformer.Conformer.alpha_deepnorm =  1.4142135623730951 # tuned
nets.conformer.Conformer.use_rope = True
nets.waveform.Waveform.sr = %new_freq
nets.waveform.Waveform.norm_mean = 0
nets.waveform.Waveform.norm_std = 0.25
nets.waveform.Waveform.patch_size = (1, 960) # 40 ms
"""


@pytest.fixture
def published(tmp_path):
    """A checkpoint of the tiny size, with upstream's names."""
    block = {
        **{f"ff{n}.module.0.{x}": (32,) for n in (1, 2) for x in ("weight", "bias")},
        **{f"ff{n}.module.1.{x}": s for n in (1, 2) for x, s in (("weight", (128, 32)), ("bias", (128,)))},
        **{f"ff{n}.module.4.{x}": s for n in (1, 2) for x, s in (("weight", (32, 128)), ("bias", (32,)))},
        "attention.qkv.weight": (96, 32), "attention.proj.weight": (32, 32), "attention.proj.bias": (32,),
        "attention.rotary_emb.freqs": (8,),
        "conv_block.module.0.weight": (64, 32, 1), "conv_block.module.0.bias": (64,),
        "conv_block.module.2.weight": (32, 1, 31), "conv_block.module.2.bias": (32,),
        "conv_block.module.3.num_batches_tracked": (),
        "conv_block.module.5.weight": (32, 32, 1), "conv_block.module.5.bias": (32,),
        **{f"conv_block.module.3.{x}": (32,) for x in ("weight", "bias", "running_mean", "running_var")},
        **{f"{n}.weight": (32,) for n in ("conv_block.layer_norm", "norm1.layer_norm", "norm2")},
        **{f"{n}.bias": (32,) for n in ("conv_block.layer_norm", "norm1.layer_norm", "norm2")},
    }  # fmt: skip
    shapes = {f"net.layers.{n}.{name}": shape for n in range(2) for name, shape in block.items()}
    shapes |= {"embedding_layer.weight": (32, 960), "embedding_layer.bias": (32,)}
    state = random_tensors(shapes)
    members = {"config.gin": tmp_path / "config.gin", "model.ckpt": tmp_path / "model.ckpt"}
    members["config.gin"].write_text(GIN)
    torch.save(state, members["model.ckpt"])
    return members, state


def test_a_checkpoint_becomes_exactly_the_networks_tensors(published):
    members, state = published
    found = files.converter(TINY)(members)
    assert {name: array.shape for name, array in found.items()} == dict(TINY.tensors())
    assert (found["level_bias"], found["level_std"]) == (0, 0.25)
    at = "net.layers.1.conv_block.module.2.weight"
    assert np.array_equal(found["blocks.1.conv.depthwise.weight"], state[at].numpy())


def test_levels_that_are_none_leave_the_wave_as_it_is(published):
    path = published[0]["config.gin"]
    path.write_text(GIN.replace("norm_mean = 0", "norm_mean = None").replace("norm_std = 0.25", "norm_std = None"))
    assert files.read_levels(path, TINY) == (0, 1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("depth = 2", "depth = 3", "Conformer.depth is 3 instead of 2"),
        ("(1, 960)", "(1, 1280)", "patch_size"),
        ("1.4142135623730951", "2.6", "alpha_deepnorm"),
        ("norm_std = 0.25", "norm_std = 0.0", "norm_std"),
        ("nets.conformer.Conformer.use_rope = True", "", "use_rope is None"),
    ],
)
def test_the_configuration_of_another_model_is_refused(published, old, new, said):
    members, _ = published
    members["config.gin"].write_text(GIN.replace(old, new))
    with pytest.raises(BenchError, match=said.replace("(", r"\(")):
        files.converter(TINY)(members)


def test_a_checkpoint_without_a_tensor_is_refused(published):
    members, state = published
    del state["net.layers.0.norm2.weight"]
    torch.save(state, members["model.ckpt"])
    with pytest.raises(BenchError, match=r"blocks\.0\.norm2\.weight"):
        files.converter(TINY)(members)


def test_without_weights_it_says_what_brings_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    said = create("extractors", "omar-rq:weights=base").unready()
    for word in ("non-commercial", "bench weights pull omar-rq-base"):
        assert word in said
    assert get("extractors", "omar-rq").tiny().unready() is None
