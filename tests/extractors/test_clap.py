"""CLAP's audio tower: equal to upstream's; what happens to tails; weights."""

import json

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
from bench_extractors._checkpoint import check, count, random_arrays, reader
from bench_extractors._clap_config import TEXT_FULL, TextConfig
from bench_extractors._clap_net import CLAPNet, repeat_pad
from bench_extractors._clap_text import TextNet, Tokenizer
from bench_extractors._clap_weights import MERGES, MUSIC, TEXT, VOCABULARY, music_audioset

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
    convert = reader(clap.TINY.tensors, prefix=PREFIX, unused=clap.TINY.unused())
    found = convert({"pytorch_model.bin": tmp_path / "pytorch_model.bin"})
    assert {name if name.startswith("audio_projection.") else PREFIX + name for name in found} == ours


def test_absent_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", "clap")
    for word in ("pytorch_model.bin", "Apache-2.0", "huggingface.co/laion/larger_clap_music", "weights pull clap"):
        with pytest.raises(BenchError, match=word):
            plugin.load("cpu", "float32")
    assert not plugin.non_commercial
    (source,) = MUSIC.sources
    assert source.sha256
    assert not weights.present(MUSIC)


TEXT_TINY = TextConfig(words=30, positions=90, width=16, inner=32, depth=2, heads=4, joint=12)


@pytest.fixture(scope="module")
def text_tower():
    """transformers' text tower with tiny sizes and random parameters; and its tensors under our names."""
    transformers = pytest.importorskip("transformers", reason="upstream's network: pip install transformers")
    tiny = TEXT_TINY
    sizes = transformers.ClapTextConfig(
        vocab_size=tiny.words,
        max_position_embeddings=tiny.positions,
        hidden_size=tiny.width,
        intermediate_size=tiny.inner,
        num_hidden_layers=tiny.depth,
        num_attention_heads=tiny.heads,
        projection_dim=tiny.joint,
        layer_norm_eps=1e-5,
    )
    torch.manual_seed(1)
    model = transformers.ClapTextModelWithProjection(sizes).eval()
    with torch.no_grad():
        for value in model.parameters():
            value += 0.1 * torch.randn_like(value)
    state = {name.removeprefix("text_model."): value for name, value in model.state_dict().items()}
    return model, {name: value for name, value in state.items() if name in tiny.tensors()}


def test_the_text_tower_equals_upstreams(text_tower):
    model, tensors = text_tower
    check({name: tuple(value.shape) for name, value in tensors.items()}, TEXT_TINY.tensors(), "upstream")
    net = TextNet(TEXT_TINY, dict(tensors))
    for tokens in ([0, 5, 9, 2], [0, *range(4, 24), 2]):
        padded = torch.tensor([tokens + [1] * (77 - len(tokens))])  # upstream pads every text to 77
        with torch.inference_mode():
            theirs = model(padded, attention_mask=(padded != 1).long()).text_embeds
            theirs = torch.nn.functional.normalize(theirs, dim=-1)[0]
            assert (net(tokens) - theirs).abs().max() < 1e-6


VOCAB = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "c", "\u0120", "ab", "\u0120ab"]
RULES = "#version: 0.2\na b\n\u0120 ab\n"


def tokenizer_files(folder):
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(VOCAB)}))
    (folder / "merges.txt").write_text(RULES)
    return [folder / "vocab.json", folder / "merges.txt"]


def test_texts_become_tokens(tmp_path):
    pytest.importorskip("tokenizers")
    tokens = Tokenizer(*(path.read_bytes() for path in tokenizer_files(tmp_path)))
    assert tokens("ab abc") == [0, 8, 9, 6, 2]
    assert tokens("a" * 100) == [0, *[4] * 75, 2]


def upstream_name(name):
    """laion_clap's name for one of ours, queries, keys and values apart."""
    for old, new in (
        ("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("intermediate.dense", "mlp.fc1"),
        ("attention.output.dense", "attn.proj"), ("attention.self.relative", "attn.relative"),
        ("output.dense", "mlp.fc2"), ("batch_norm", "bn0"), ("linear1", "0"), ("linear2", "2"),
    ):  # fmt: skip
        name = name.replace(old, new)
    return name if name.startswith("audio_projection") else f"audio_branch.{name}"


def test_both_towers_are_read_from_laion_claps_file(tmp_path):
    audio = {name: torch.from_numpy(array) for name, array in random_arrays(clap.TINY.tensors(), 3).items()}
    text = {name: torch.from_numpy(array) for name, array in random_arrays(TEXT_TINY.tensors(), 4).items()}
    state = {}
    for name, tensor in audio.items():
        if ".self.query." in name:
            parts = [audio[name.replace("query", part)] for part in ("query", "key", "value")]
            state["module.audio_branch." + name.replace("attention.self.query", "attn.qkv")] = torch.cat(parts)
        elif ".self.key." not in name and ".self.value." not in name:
            state["module." + upstream_name(name)] = tensor
    for name, tensor in text.items():
        projection = name.replace("linear1", "0").replace("linear2", "2")
        state["module." + (projection if "projection" in name else f"text_branch.{name}")] = tensor
    state |= {
        "module.logit_scale_a": torch.ones(()),
        "module.text_branch.embeddings.position_ids": torch.arange(514)[None],
        "module.audio_transform.sequential.0.weight": torch.zeros(2, 2),
        "module.audio_branch.tscam_conv.bias": torch.zeros(527),
        "module.audio_branch.layers.0.blocks.1.attn_mask": torch.zeros(64, 64, 64),
        "module.audio_branch.layers.0.blocks.1.attn.relative_position_index": torch.zeros(64, 64),
        "module.audio_branch.bn0.num_batches_tracked": torch.tensor(5),
        "module.audio_branch.spectrogram_extractor.stft.conv_real.weight": torch.zeros(3),
    }
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 15, "name": "x", "best": np.float64(0.9), "state_dict": state}, path)
    vocabulary, merges = tokenizer_files(tmp_path)
    members = {"checkpoint.pt": path, "vocab.json": vocabulary, "merges.txt": merges}
    found = music_audioset(members, clap.TINY, TEXT_TINY)
    assert found.pop(VOCABULARY).tobytes() == vocabulary.read_bytes()
    assert found.pop(MERGES).tobytes() == merges.read_bytes()
    wanted = audio | {TEXT + name: tensor for name, tensor in text.items()}
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], wanted[name].numpy()) for name in wanted)


def test_which_weights_have_texts(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    for spec in ("clap", "clap:weights=random"):
        with pytest.raises(BenchError, match="weights=music_audioset"):
            create("extractors", spec).texts(["piano"])
    plugin = create("extractors", "clap:weights=music_audioset")
    with pytest.raises(BenchError, match="weights pull clap-music-audioset"):
        plugin.texts(["piano"])
    assert plugin.layers[plugin.text_layer] == TEXT_FULL.joint
    # RoBERTa-base has 124,645,632 parameters, a pooler of 768 included; the projection follows.
    assert count(TEXT_FULL.tensors()) == 124_645_632 + 768 * 512 + 512 + 512 * 512 + 512


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
