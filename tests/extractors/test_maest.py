"""MAEST: contract, sizes, tokens, checkpoints."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.registry import create
from bench.testing.clips import clip
from bench_extractors._checkpoint import count, reader
from bench_extractors._maest_config import TINY, Config
from bench_extractors._maest_weights import PUBLISHED, UNUSED, WEIGHTS

from .networks import TinyContract, apart, built, random_tensors, states


class TestMAEST(TinyContract):
    spec = "maest"


@pytest.mark.parametrize("name", PUBLISHED)
def test_declared_sizes_are_those_of_the_network(name):
    plugin = create("extractors", f"maest:weights={name}")
    assert plugin.parameters == count(plugin.config.tensors())
    assert plugin.window.length == int(name.split("s")[0]) * 16_000
    assert dict(plugin.layers) == {**{str(n): 2304 for n in range(12)}, "final": 768}
    assert plugin.default_layer == "6"
    assert ("audioset" in plugin.trained_on) == ("-pw-" in name)


def test_a_checkpoint_has_the_published_bytes():
    """Four bytes a value, with the heads of 400 styles; the rest of a file is names and framing."""
    for name, (config, _, size) in PUBLISHED.items():
        styles = 519 if name.endswith("519l") else 400
        values = count(config.tensors()) + 2 * 768 + 2 * styles * 769
        assert 0 < size - 4 * values < 100_000


@pytest.mark.parametrize(("seconds", "tokens"), [(5, 2 + 9 * 30), (30, 2 + 9 * 187), (1, 2 + 9 * 5)])
def test_tokens_of_a_window(seconds, tokens):
    assert Config().tokens(seconds * 16_000) == tokens


def test_final_is_the_normalised_mean_of_both_tokens():
    net, tensors = built(TINY.module)
    waves = torch.from_numpy(np.stack([clip(2, 16_000, seed) for seed in range(2)]))
    with torch.inference_mode():
        *_, last, final = states(net, waves)
    assert last.shape == (2, 1, 96)
    both = last[:, 0, :64].unflatten(1, (2, 32))
    wanted = torch.nn.functional.layer_norm(both, (32,), tensors["norm.weight"], tensors["norm.bias"], 1e-6).mean(1)
    assert apart(final[:, 0], wanted) < 1e-6


def test_positions_of_a_short_window_are_the_first_ones():
    """A network with positions for more frames computes the same if the first ones agree."""
    longer = replace(TINY, frames=625)
    _, tensors = built(longer.module)
    cut = tensors | {"time_new_pos_embed": tensors["time_new_pos_embed"][..., :31]}
    (long, _), (short, _) = built(longer.module, tensors), built(TINY.module, cut)
    waves = torch.from_numpy(clip(5, 16_000, 0))[None]
    with torch.inference_mode():
        assert torch.equal(states(long, waves)[-1], states(short, waves)[-1])


def test_a_checkpoint_becomes_exactly_the_networks_tensors(tmp_path):
    state = random_tensors(TINY.tensors())
    heads = {"head.0.weight": (32,), "head.0.bias": (32,), "head.1.weight": (4, 32), "head.1.bias": (4,)}
    whole = state | random_tensors(heads | {"head_dist.weight": (4, 32), "head_dist.bias": (4,)})
    read = reader(TINY.tensors, unused=UNUSED)
    torch.save(whole, tmp_path / "a.ckpt")
    found = read({"a.ckpt": tmp_path / "a.ckpt"})
    assert found.keys() == state.keys()
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in state.items())
    del whole["dist_token"]
    torch.save(whole, tmp_path / "b.ckpt")
    with pytest.raises(BenchError, match="dist_token"):
        read({"b.ckpt": tmp_path / "b.ckpt"})


def test_without_weights_it_says_what_brings_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    said = create("extractors", "maest").unready()
    for word in ("non-commercial", "bench weights pull maest-30s-pw-129e"):
        assert word in said
    assert all(one.sources[0].sha256 for one in WEIGHTS.values())
