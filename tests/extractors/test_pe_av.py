"""PE-AV's audio tower: equal to transformers', from its file."""

import pytest
import torch

from bench.errors import BenchError
from bench.registry import create
from bench_extractors import pe_av
from bench_extractors._checkpoint import count
from bench_extractors._codec import converter
from bench_extractors._modules import load_module

from .networks import TinyContract, apart, states


class TestPEAV(TinyContract):
    spec = "pe-av"


def upstream(config):
    """Return transformers' model of some sizes, with random weights of every kind."""
    transformers = pytest.importorskip("transformers", reason="upstream's network: pip install transformers")
    codec = {"encoder_hidden_size": config.codec.filters, "downsampling_ratios": list(config.codec.ratios)}
    sizes = transformers.PeAudioConfig(
        text_config={
            "model_type": "modernbert", "vocab_size": 30, "hidden_size": config.joint, "intermediate_size": 8,
            "num_hidden_layers": 1, "num_attention_heads": 2, "pad_token_id": 0,
        },
        audio_config={
            "dac_config": {"model_type": "dac", **codec, "codebook_dim": config.bottleneck},
            "hidden_size": config.width, "intermediate_size": config.hidden, "num_hidden_layers": config.depth,
            "num_attention_heads": config.heads, "head_dim": config.width // config.heads,
        },
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.PeAudioModel(sizes).eval()
    with torch.no_grad():
        for value in model.parameters():
            value += 0.2 * max(float(value.std(correction=0)), 0.1) * torch.randn_like(value)
    return model


@pytest.mark.parametrize("config", [pe_av.TINY, pytest.param(pe_av.BASE, marks=pytest.mark.slow)])
@pytest.mark.parametrize("frames", [250, 13])
def test_it_equals_transformers_from_its_file(tmp_path, config, frames):
    from safetensors.torch import save_file

    model, file = upstream(config), "model.safetensors"
    save_file({f"audio_model.{name}": value for name, value in model.state_dict().items()}, tmp_path / file)
    arrays = converter(config, (pe_av.ENCODER, pe_av.HEAD), pe_av.rename)({file: tmp_path / file})
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    net = load_module(config.module, tensors, torch.float32)
    waves = 0.3 * torch.randn(2, frames * 1920 - 70)
    whole = torch.nn.functional.pad(waves, (0, 70), mode="reflect")
    with torch.inference_mode():
        *layers, vector = states(net, waves)
        seen = model.audio_encoder(whole[:, None], output_hidden_states=True).hidden_states
        assert len(layers) == config.depth + 1 == len(seen)
        for mine, other in zip(layers[:-1], seen[:-1], strict=True):
            assert apart(mine, other[:, 1:]) < 2e-5
        assert apart(vector[:, 0], model.get_audio_embeds(whole[:, None])) < 2e-5


@pytest.mark.parametrize(("spec", "width", "depth"), [("pe-av", 1024, 16), ("pe-av:weights=large", 1792, 28)])
def test_declarations(tmp_path, monkeypatch, spec, width, depth):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", spec)
    assert plugin.layers == {**dict.fromkeys(map(str, range(depth + 1)), width), "embedding": 1024}
    assert plugin.parameters == count(plugin.config.tensors())
    with pytest.raises(BenchError, match="weights pull pe-av"):
        plugin.load("cpu", "float32")


def test_the_large_tower_has_as_many_values_as_upstream():
    assert count(pe_av.LARGE.tensors()) == 1_134_277_568
