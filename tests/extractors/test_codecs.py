"""The encoders of DAC and Mimi: equal to transformers', from their files."""

import pytest
import torch

from bench.errors import BenchError
from bench.registry import create
from bench_extractors import dac, mimi
from bench_extractors._checkpoint import count
from bench_extractors._codec import converter
from bench_extractors._modules import load_module

from .networks import TinyContract, apart, states

REASON = "upstream's network: pip install transformers"


class TestDac(TinyContract):
    spec = "dac"


class TestMimi(TinyContract):
    spec = "mimi"


def loaded(model, config, folder, *how):
    """Give a model random weights, save it as published, and read the file."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.05 * torch.randn_like(value)
    model.save_pretrained(folder)
    arrays = converter(config, *how)({"model.safetensors": folder / "model.safetensors"})
    return load_module(config.module, {name: torch.from_numpy(array) for name, array in arrays.items()}, torch.float32)


@pytest.mark.parametrize(
    "config", [dac.TINY, *(pytest.param(c, marks=pytest.mark.slow) for c in (dac.FULL, dac.LOWER))]
)
@pytest.mark.parametrize("frames", [1, 40])
def test_dac_equals_transformers_from_its_file(tmp_path, config, frames):
    transformers = pytest.importorskip("transformers", reason=REASON)
    sizes = transformers.DacConfig(encoder_hidden_size=config.filters, downsampling_ratios=list(config.ratios))
    model = transformers.DacModel(sizes).eval()
    net = loaded(model, config, tmp_path, ("encoder.",))
    waves = 0.3 * torch.randn(2, frames * config.frame - 7)
    padded = torch.nn.functional.pad(waves, (0, 7))
    with torch.inference_mode():
        theirs = model.encoder(padded[:, None]).transpose(1, 2)
        (ours,) = states(net, waves)
    assert ours.shape[1] == frames
    # Random weights at full width give values of 1e4, in which float32 sums of thousands of terms differ by 1.3e-5.
    assert apart(ours, theirs) < 3e-5


@pytest.mark.parametrize("config", [mimi.TINY, pytest.param(mimi.FULL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("samples", [240_000, 4_801, 1_920])
def test_mimi_equals_transformers_from_its_file(tmp_path, config, samples):
    transformers = pytest.importorskip("transformers", reason=REASON)
    sizes = transformers.MimiConfig(
        num_filters=config.filters,
        hidden_size=config.width,
        intermediate_size=4 * config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        upsample_groups=config.width,
    )
    model = transformers.MimiModel(sizes).eval()
    net = loaded(model, config, tmp_path, mimi.KEPT, mimi.rename)
    waves = 0.3 * torch.randn(2, samples)
    with torch.inference_mode():
        theirs = model.encoder(waves[:, None], output_hidden_states=True)
        ours = states(net, waves)
    assert apart(ours[-1], theirs.latents.transpose(1, 2)) < 1e-5
    assert len(ours) == config.depth + 2
    for mine, other in zip(ours[:-1], theirs.hidden_states, strict=True):
        assert apart(mine, other) < 1e-5


def test_an_end_of_a_track_is_filled_up_with_zeros():
    net = create("extractors", "dac").tiny().config.module().eval()
    waves = torch.randn(1, 5 * 320 - 100)
    longer = torch.nn.functional.pad(waves, (0, 100))
    with torch.inference_mode():
        assert torch.equal(*(states(net, each)[0] for each in (waves, longer)))


@pytest.mark.parametrize(
    ("spec", "name", "rate", "layers"),
    [
        ("dac", "dac-44khz", 44_100, {"latent": 1024}),
        ("dac:weights=24khz", "dac-24khz", 24_000, {"latent": 1024}),
        ("dac:weights=16khz", "dac-16khz", 16_000, {"latent": 1024}),
        ("mimi", "mimi", 24_000, {**{str(at): 512 for at in range(9)}, "latent": 512}),
    ],
)
def test_declarations(tmp_path, monkeypatch, spec, name, rate, layers):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", spec)
    assert plugin.parameters == count(plugin.config.tensors())
    assert (plugin.sample_rate, plugin.layers) == (rate, layers)
    with pytest.raises(BenchError, match=f"weights pull {name}"):
        plugin.load("cpu", "float32")
