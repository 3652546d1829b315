"""Pieces of transformers against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from bench_extractors._transformer import Attention, Block, FeedForward, Linear, Norm, linear

AFTER = {"none": lambda x: x, "gelu": F.gelu, "relu": F.relu}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("activation", AFTER)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_torchs(activation, bias):
    weight, x = noise(7, 5), noise(2, 3, 5, seed=1)
    shift = noise(7, seed=2) if bias else None
    wanted = AFTER[activation](F.linear(x, weight, shift))
    assert torch.allclose(Linear(weight, shift, torch.float32, activation)(x), wanted, atol=1e-6)
    plain = Linear(weight, shift, torch.float32, activation)
    plain._packed, plain.weight = None, weight  # as where torch has no oneDNN
    assert torch.equal(plain(x), wanted)
    low = Linear(weight, shift, torch.bfloat16, activation)(x)
    assert low.dtype == torch.bfloat16
    assert torch.allclose(low.float(), wanted, atol=0.1)


def test_several_names_make_one_map_and_are_taken():
    tensors = {
        "a.weight": noise(2, 4),
        "b.weight": noise(3, 4),
        "a.bias": noise(2),
        "b.bias": noise(3),
        "c.bias": noise(1),
    }
    x, kept = noise(5, 4, seed=3), dict(tensors)
    found = linear(tensors, "a", "b", dtype=torch.float32)(x)
    wanted = torch.cat([F.linear(x, kept[f"{n}.weight"], kept[f"{n}.bias"]) for n in "ab"], -1)
    assert torch.allclose(found, wanted, atol=1e-6)
    assert set(tensors) == {"c.bias"}


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_torchs(masked):
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    weights, biases = theirs.in_proj_weight.detach().chunk(3), noise(36).chunk(3)
    theirs.in_proj_bias.data = torch.cat(biases)
    tensors = {f"x.{n}_proj.weight": w for n, w in zip("qkv", weights, strict=True)}
    tensors |= {f"x.{n}_proj.bias": b for n, b in zip("qkv", biases, strict=True)}
    tensors |= {f"x.out_proj.{name}": value.detach() for name, value in theirs.out_proj.named_parameters()}
    x = noise(2, 9, 12, seed=4)
    mask = torch.full((9, 9), -torch.inf).triu(1) if masked else None
    with torch.inference_mode():
        found = Attention(tensors, "x", 3, torch.float32)(x, None if mask is None else mask.expand(1, 3, 9, 9))
        wanted, _ = theirs(x, x, x, attn_mask=mask)
    assert torch.allclose(found, wanted, atol=1e-6)
    assert not tensors


@pytest.mark.parametrize("before", [False, True])
def test_a_block_is_torchs(before):
    theirs = torch.nn.TransformerEncoderLayer(12, 3, 20, 0, F.gelu, batch_first=True, norm_first=before).eval()
    t = {name: value.detach() + 0.1 * noise(*value.shape, seed=5) for name, value in theirs.state_dict().items()}
    theirs.load_state_dict(t)
    for kind in ("weight", "bias"):
        for n, part in zip("qkv", t.pop(f"self_attn.in_proj_{kind}").chunk(3), strict=True):
            t[f"self_attn.{n}_proj.{kind}"] = part
    block = Block(
        Attention(t, "self_attn", 3, torch.float32),
        Norm(t, "norm1", 12),
        FeedForward(t, "linear1", "linear2", torch.float32),
        Norm(t, "norm2", 12),
        before=before,
    )
    x = noise(2, 9, 12, seed=6)
    with torch.inference_mode():
        assert torch.allclose(block(x), theirs(x), atol=2e-6)
    assert not t


def test_norms_stay_in_float32():
    x = (100 + noise(4, 16)).to(torch.bfloat16)
    found = Norm(None, "", 16)(x)
    assert found.dtype == torch.float32
    assert torch.equal(found, F.layer_norm(x.float(), (16,)))
