"""EnCodec's encoder: equal to transformers', from its file."""

import pytest
import torch

from bench.errors import BenchError
from bench.registry import create
from bench_extractors import encodec
from bench_extractors._checkpoint import count
from bench_extractors._modules import load_module

from .networks import TinyContract, apart, states


class TestEncodec(TinyContract):
    spec = "encodec"


@pytest.mark.parametrize("config", [encodec.TINY, pytest.param(encodec.FULL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("samples", [24_000, 4_801])
def test_it_equals_transformers_from_its_file(tmp_path, config, samples):
    transformers = pytest.importorskip("transformers", reason="upstream's network: pip install transformers")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    sizes = transformers.EncodecConfig(num_filters=config.filters, hidden_size=config.features)
    model = transformers.EncodecModel(sizes).eval()
    with torch.no_grad():
        for value in model.parameters():
            value += 0.05 * torch.randn_like(value)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, tmp_path / "model.safetensors")
    arrays = encodec.convert({"model.safetensors": tmp_path / "model.safetensors"}, config)
    net = load_module(config.module, {name: torch.from_numpy(array) for name, array in arrays.items()}, torch.float32)
    waves = 0.3 * torch.randn(2, samples)
    with torch.inference_mode():
        theirs = model.encoder(waves[:, None]).transpose(1, 2)
        (ours,) = states(net, waves)
    assert apart(ours, theirs) < 1e-5


def test_declarations(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", "encodec")
    assert plugin.parameters == count(encodec.FULL.tensors())
    assert plugin.layers == {"latent": 128}
    with pytest.raises(BenchError, match="weights pull encodec"):
        plugin.load("cpu", "float32")
