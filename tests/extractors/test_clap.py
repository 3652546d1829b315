"""CLAP's audio tower: equal to upstream's; what happens to tails; weights."""

import numpy as np
import pytest
import torch

from bench import weights
from bench.audio.windows import windows
from bench.errors import BenchError
from bench.extract.pooling import sums
from bench.registry import create
from bench.testing.clips import clip
from bench_extractors import clap
from bench_extractors._checkpoint import check, count, random_arrays
from bench_extractors._clap_net import CLAPNet, repeat_pad

from .networks import TinyContract, states

PREFIX = "audio_model.audio_encoder."


@pytest.fixture(scope="module")
def upstream():
    """Upstream's tower with tiny sizes, every parameter and statistic random; and its tensors under our names."""
    transformers = pytest.importorskip("transformers", reason="upstream's network: pip install transformers")
    tiny = clap.TINY
    sizes = transformers.ClapAudioConfig(
        patch_embeds_hidden_size=tiny.channels,
        depths=list(tiny.depths),
        num_attention_heads=list(tiny.heads),
        hidden_size=tiny.width,
        projection_dim=tiny.joint,
    )
    torch.manual_seed(0)
    model = transformers.ClapAudioModelWithProjection(sizes).eval()
    with torch.no_grad():
        for value in model.parameters():
            value += 0.1 * torch.randn_like(value)
        norm = model.audio_model.audio_encoder.batch_norm
        norm.running_mean -= 20 + torch.randn(64)
        norm.running_var *= 90
    tensors = {name.removeprefix(PREFIX): value for name, value in model.state_dict().items()}
    return model, {name: value for name, value in tensors.items() if not name.startswith(tiny.unused())}


@pytest.mark.parametrize("seconds", [10.0, 5.0, 3.3, 0.5])
def test_it_equals_upstreams(upstream, seconds):
    import transformers

    model, tensors = upstream
    check({name: tuple(value.shape) for name, value in tensors.items()}, clap.TINY.tensors(), "upstream")
    hear = transformers.ClapFeatureExtractor(frequency_min=50, frequency_max=14_000, truncation="rand_trunc")
    waves = [clip(seconds, 48_000, seed) for seed in range(2)]
    mel = hear(waves, sampling_rate=48_000, return_tensors="pt")["input_features"]
    net, given = CLAPNet(clap.TINY, dict(tensors), torch.float32), torch.from_numpy(np.stack(waves))
    with torch.inference_mode():
        assert (net.log_mel(repeat_pad(given)) - mel[:, 0]).abs().max() < 0.01  # decibels, near silence
        patches, embedding = states(net, given)
        pooled = model.audio_model(mel).pooler_output
        joint = torch.nn.functional.normalize(model(mel).audio_embeds, dim=-1)
    assert patches.shape == (2, 64, clap.TINY.width)
    assert (patches.mean(1) - pooled).abs().max() < 1e-5 * pooled.abs().max()
    assert (embedding[:, 0] - joint).abs().max() < 1e-5


def test_the_arithmetic_is_what_torch_counts(upstream):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        upstream[0](torch.zeros(1, 1, 1001, 64))
    mel = 2 * 1000 * 513 * 64
    assert clap.TINY.operations(480_000) - mel == pytest.approx(counter.get_total_flops(), rel=1e-3)


def test_parameters():
    # HTSAT-base and its projection; a published export of this tower to ONNX has 277,309,194 bytes.
    assert count(clap.FULL.tensors()) == 68_611_992 == create("extractors", "clap").parameters


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_keeps_the_direction(dtype):
    given = torch.from_numpy(clip(4.0, 48_000, 0))[None]
    found = []
    for precision in ("float32", dtype):
        plugin = clap.CLAP(clap.CLAPSettings(weights="random", precision=precision), clap.TINY)
        plugin.load("cpu", "float32")
        found.append({name: torch.from_numpy(total) for name, (_, total, _) in sums(plugin, given).items()})
    for name in found[0]:
        assert torch.cosine_similarity(found[0][name], found[1][name]).min() > 0.999, name


class TestTiny(TinyContract):
    spec = "clap"


def test_windows():
    plugin = create("extractors", "clap")
    wave = np.ones(48_000 * 31, np.float32)

    def cut(seconds):
        heard = wave[: round(48_000 * seconds)]
        return [len(w) / 48_000 for w in windows([heard], plugin.window, plugin.clip, 48_000)]

    assert [cut(seconds) for seconds in (31, 30.5, 12, 3)] == [[10, 10, 10, 1], [10] * 3, [10, 2], [3]]
    with pytest.raises(BenchError, match="too short"):
        cut(0.4)


def test_tails_are_repeated_then_padded_with_zeros():
    wave = torch.arange(1.0, 200_001)[None]
    found = repeat_pad(wave)
    assert found.shape == (1, 480_000)
    assert torch.equal(found[:, :400_000], wave.repeat(1, 2))
    assert not found[:, 400_000:].any()


def test_silence_is_finite():
    plugin = clap.CLAP.tiny()
    plugin.load("cpu", "float32")
    assert all(np.isfinite(total).all() for _, total, _ in sums(plugin, torch.zeros(1, 48_000)).values())


def test_the_audio_tower_is_taken_out_of_the_whole_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    state = {
        name if name.startswith("audio_projection.") else PREFIX + name: torch.from_numpy(array)
        for name, array in random_arrays(clap.TINY.tensors(), 3).items()
    }
    ours = set(state)
    state |= {
        "logit_scale_a": torch.zeros(()),
        "text_model.x": torch.zeros(2),
        "text_projection.linear1.bias": torch.ones(1),
    }
    state |= {PREFIX + "batch_norm.num_batches_tracked": torch.tensor(5)}
    state |= {PREFIX + "layers.0.blocks.1.attention.self.relative_position_index": torch.zeros(64, 64)}
    torch.save(state, tmp_path / "pytorch_model.bin")
    convert = clap.reader(clap.TINY.tensors, prefix=PREFIX, unused=clap.TINY.unused())
    found = convert({"pytorch_model.bin": tmp_path / "pytorch_model.bin"})
    assert {name if name.startswith("audio_projection.") else PREFIX + name for name in found} == ours


def test_absent_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", "clap")
    for word in ("pytorch_model.bin", "Apache-2.0", "huggingface.co/laion/larger_clap_music", "weights pull clap"):
        with pytest.raises(BenchError, match=word):
            plugin.load("cpu", "float32")
    assert not plugin.non_commercial
    (source,) = clap.CLAP_WEIGHTS.sources
    assert source.sha256
    assert not weights.present(clap.CLAP_WEIGHTS)


@pytest.mark.slow
def test_full_size():
    plugin = create("extractors", "clap:weights=random")
    plugin.load("cpu", "float32")
    found = sums(plugin, torch.from_numpy(clip(10.0, 48_000, 0))[None])
    assert {name: (frames, total.shape) for name, (frames, total, _) in found.items()} == {
        "patches": (64, (1, 1024)),
        "embedding": (1, (1, 512)),
    }
    assert np.linalg.norm(found["embedding"][1]) == pytest.approx(1, abs=1e-5)
