"""GLAP: both towers from one checkpoint, unit vectors, texts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as fn

from bench import weights
from bench.errors import BenchError
from bench.registry import create
from bench.testing.clips import clip
from bench_extractors import _glap_weights as files
from bench_extractors import glap
from bench_extractors._checkpoint import METADATA, count
from bench_extractors._dasheng_config import RATE
from bench_extractors._glap_net import GLAPNet
from bench_extractors._sonar_config import TextConfig
from bench_extractors._sonar_net import SonarNet, codes_of

from .networks import TinyContract, apart, random_tensors, states

SMALL = TextConfig(vocabulary=40, width=16, depth=2, heads=2, ffn=24, longest=9, joint=12)


class TestGLAP(TinyContract):
    spec = "glap"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A small checkpoint and tokenizer as upstream names their tensors; the towers' own tensors."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "FULL", glap.TINY)
    monkeypatch.setattr(files, "TextConfig", lambda: SMALL)
    audio, text = random_tensors(glap.TINY.tensors()), random_tensors(SMALL.tensors(), 1)
    state = {name if name.startswith("audio_proj") else f"audio_encoder.model.{name}": t for name, t in audio.items()}
    state |= {name if name.startswith("text_proj") else f"text_encoder.model.{name}": t for name, t in text.items()}
    state["audio_encoder.model.front_end.0.mel_scale.fb"] = torch.zeros(257, 64)
    state["audio_encoder.model.init_bn.1.num_batches_tracked"] = torch.tensor(1)
    torch.save({"model": state, "config": {"epochs": 20}}, tmp_path / files.CHECKPOINT)
    (tmp_path / files.TOKENIZER).write_bytes(b"pieces")
    return {name: tmp_path / name for name in (files.CHECKPOINT, files.TOKENIZER)}, audio, text


def test_both_towers_are_taken_out_of_the_checkpoint(published):
    members, audio, text = published
    found = files.convert({files.CHECKPOINT: members[files.CHECKPOINT]})
    assert found.keys() == audio.keys()
    assert all(np.array_equal(array, audio[name].numpy()) for name, array in found.items())
    found = files.convert(members)
    assert found.pop(f"{METADATA}pieces").tobytes() == b"pieces"
    assert found.keys() == text.keys()
    assert all(np.array_equal(array, text[name].numpy()) for name, array in found.items())


def plain(t, codes):
    """The unit vector of a text, from the definition, in float64."""
    t = {name: tensor.double() for name, tensor in t.items()}

    def norm(x, name):
        return fn.layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"])

    def linear(x, name):
        return fn.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    x = t["encoder_frontend.embed.weight"][codes] * SMALL.width**0.5
    half = SMALL.width // 2
    for place in range(len(codes)):
        for k in range(half):
            angle = torch.tensor((place + 2) * 10_000.0 ** (-k / (half - 1)), dtype=torch.float64)
            x[place, k] += angle.sin()
            x[place, half + k] += angle.cos()
    for at in range(SMALL.depth):
        layer = f"encoder.layers.{at}"
        y = norm(x, f"{layer}.self_attn_layer_norm")
        q, k, v = (linear(y, f"{layer}.self_attn.{part}_proj").view(len(x), 2, -1).transpose(0, 1) for part in "qkv")
        mixed = ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).transpose(0, 1).flatten(1)
        x = x + linear(mixed, f"{layer}.self_attn.output_proj")
        up = fn.relu(linear(norm(x, f"{layer}.ffn_layer_norm"), f"{layer}.ffn.inner_proj"))
        x = x + linear(up, f"{layer}.ffn.output_proj")
    y = linear(fn.relu(linear(norm(x, "layer_norm").mean(0), "text_proj.0")), "text_proj.2")
    return y / y.norm()


def test_the_text_tower_is_what_its_definition_says():
    tensors = random_tensors(SMALL.tensors())
    codes = [7, 1, 39, 12, 3]
    with torch.inference_mode():
        net = SonarNet(SMALL, dict(tensors))
        assert apart(net(codes), plain(tensors, codes).float()) < 1e-5
        assert torch.equal(net(codes * 3), net((codes * 3)[:9]))


def test_the_embedding_is_the_projected_mean_of_the_last_layer():
    tensors = random_tensors(glap.TINY.tensors())
    with torch.inference_mode():
        found = states(GLAPNet(glap.TINY, dict(tensors), torch.float32), torch.from_numpy(clip(2.0, RATE, 0))[None])
    assert [tuple(x.shape) for x in found] == [(1, 50, 24)] * 3 + [(1, 1, 12)]
    first = fn.relu(fn.linear(found[2].mean(1), tensors["audio_proj.0.weight"], tensors["audio_proj.0.bias"]))
    wanted = fn.linear(first, tensors["audio_proj.2.weight"], tensors["audio_proj.2.bias"])
    assert apart(found[3][:, 0], wanted / wanted.norm()) < 1e-5


def test_texts_start_with_their_language_and_pieces_are_shifted(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece", reason="SentencePiece is not installed")
    prefix = tmp_path / "small"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["slow jazz", "fast jazz"] * 9), model_prefix=str(prefix), vocab_size=25,
        model_type="bpe", minloglevel=2,
    )  # fmt: skip
    model = prefix.with_suffix(".model").read_bytes()
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model).encode("fast jazz", out_type=int)
    assert codes_of(["fast jazz"], model, "text") == [[256_047, *(piece + 1 for piece in pieces), 3]]


def test_from_files_that_are_added_to_vectors_of_texts(published, monkeypatch):
    members, _, text = published
    small = replace(files.GLAP_WEIGHTS, sources=tuple(replace(s, sha256=None) for s in files.GLAP_WEIGHTS.sources))
    monkeypatch.setattr(glap, "GLAP_WEIGHTS", small)
    plugin = glap.GLAP(glap.GLAPSettings(), glap.TINY, SMALL)
    with pytest.raises(BenchError, match="bench weights pull glap"):
        plugin.texts(["jazz"])
    weights.add(small, members[files.CHECKPOINT].parent, log=lambda _line: None)
    plugin.load("cpu", "float32")
    monkeypatch.setattr(
        "bench_extractors._sonar_net.codes_of", lambda texts, model, extra: [[7, len(x)] for x in texts]
    )
    found = plugin.texts(["jazz", "slow jazz"])
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert apart(torch.from_numpy(found[1]), plain(text, [7, 9]).float()) < 1e-5
    assert plugin.layers[plugin.text_layer] == found.shape[1]


def test_sizes():
    """The encoder is Dasheng's (85.4 M), SONAR's is 766 M, as its checkpoint of 3,064,513,202 bytes says."""
    plugin = create("extractors", "glap")
    projection = 1024 * (768 + 1) + 1024 * 1025
    assert plugin.parameters == 85_447_936 + projection
    projection = 2 * 1024 * 1025
    assert 4 * (count(TextConfig().tensors()) - projection) == pytest.approx(3_064_513_202, rel=1e-4)
    assert list(plugin.layers) == [*map(str, range(13)), "embedding"]
    assert plugin.layers["embedding"] == 1024


def test_without_weights_it_says_what_brings_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", "glap")
    for said in (files.CHECKPOINT, "Apache-2.0", "zenodo.org/records/15493136", "`bench weights pull glap`"):
        with pytest.raises(BenchError, match=said):
            plugin.load("cpu", "float32")
    with pytest.raises(BenchError, match="no vectors of texts"):
        create("extractors", "glap:weights=random").texts(["jazz"])
