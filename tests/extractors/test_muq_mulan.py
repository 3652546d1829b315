"""MuQ-MuLan: windows, both towers against plain ones, the published file, texts."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as fn

from bench.audio.windows import windows
from bench.errors import BenchError
from bench.protocols.extractor import TextTower
from bench.registry import create, get
from bench_extractors import _muq_mulan_weights as files
from bench_extractors import muq_mulan
from bench_extractors._checkpoint import count
from bench_extractors._modules import module_shapes
from bench_extractors._muq_mulan_config import FULL, TINY
from bench_extractors._muq_mulan_net import Head
from bench_extractors._packed_linear import pack

from .networks import TinyContract, apart, random_tensors

RATE = 24_000


class TestMuQMuLan(TinyContract):
    spec = "muq-mulan"


def test_it_says_how_large_it_is_and_who_may_use_it():
    plugin = create("extractors", "muq-mulan")
    assert plugin.layers == {"muq": 1024, "embedding": 512}
    assert plugin.weights[0].non_commercial
    head = count(module_shapes(lambda: Head(FULL, 1024)))
    attention, feed = 4 * 768 * 512 + 2 * 64, 3 * 768 * 2048
    assert head == 1025 * 768 + 8 * (attention + feed + 2 * 768) + 769 * 512
    assert plugin.parameters == get("extractors", "muq").parameters + head


def test_windows_of_10_seconds_lie_side_by_side():
    plugin = get("extractors", "muq-mulan").tiny()

    def cut(seconds):
        wave = np.ones(round(seconds * RATE), np.float32)
        return [len(window) / RATE for window in windows([wave], plugin.window, plugin.clip, RATE)]

    assert cut(25) == [10, 10, 5]
    assert cut(20.5) == [10, 10]
    assert cut(0.5) == [0.5]


def plain(tensors, x, heads):
    """The head as upstream draws it, in float64, (B, T, inputs) to (B, joint)."""
    t = {name: tensor.double() for name, tensor in tensors.items()}

    def norm(x, name):
        return fn.layer_norm(x, x.shape[-1:]) * t[f"{name}.learned_gamma"]

    x = x.double()
    if "proj.weight" in t:
        x = fn.linear(x, t["proj.weight"], t["proj.bias"])
    at = 0
    while f"layers.{at}.0.to_q.weight" in t:
        name = f"layers.{at}.0"
        y = norm(x, f"{name}.norm")
        split = [(y @ t[f"{name}.to_q.weight"].T), *(y @ t[f"{name}.to_kv.weight"].T).chunk(2, -1)]
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in split)
        q, k = (part / part.norm(dim=-1, keepdim=True) * t[f"{name}.{s}_scale"] for part, s in ((q, "q"), (k, "k")))
        mixed = (8 * q @ k.transpose(-1, -2)).softmax(-1) @ v
        x = x + mixed.transpose(1, 2).flatten(2) @ t[f"{name}.to_out.0.weight"].T
        up, gate = (norm(x, f"layers.{at}.1.0") @ t[f"layers.{at}.1.1.weight"].T).chunk(2, -1)
        x = x + (up * fn.gelu(gate)) @ t[f"layers.{at}.1.4.weight"].T
        at += 1
    joint = fn.linear(x.mean(1), t["to_latents.weight"], t["to_latents.bias"])
    return joint / joint.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("inputs", [TINY.muq.width + 8, TINY.width])
def test_the_head_equals_the_plain_one(inputs):
    head = Head(TINY, inputs, always=False)
    tensors = random_tensors(module_shapes(lambda: Head(TINY, inputs, always=False)))
    head.load_state_dict(tensors)
    pack(head, torch.float32)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 9, inputs)).astype(np.float32))
    with torch.inference_mode():
        found = head(x)
    assert apart(found[:, 0], plain(tensors, x, TINY.heads).float()) < 5e-6


# -- published file -----------------------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The published files, of the tiny size, and the tensors of both towers."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    for module in (files, muq_mulan):
        monkeypatch.setattr(module, "FULL", TINY)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    audio = random_tensors({name: s for name, s in TINY.tensors().items() if not name.startswith("muq.mel.")})
    text = random_tensors(files.text_shapes(), seed=1)
    whole = {}
    for tensors, renamed in ((audio, files.RENAMED), (text, files.RENAMED_TEXT)):
        for name, tensor in tensors.items():
            theirs = next(theirs + name.removeprefix(ours) for theirs, ours in renamed.items() if name.startswith(ours))
            whole[f"mulan.{theirs}"] = tensor
    extra = {
        "audio.aggregator.weight": (1, 25, 1),
        "contrast.temperatures": (1, 1, 1),
        "text.model.pooler.dense.weight": (24, 24),
        "audio.model.model.cls_token": (24,),
        "audio.model.model.linear.weight": (8, 24),
    }
    save_file(whole | {f"mulan.{name}": t for name, t in random_tensors(extra).items()}, tmp_path / "model.safetensors")
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "slow": 4, "piano": 5, "loud": 6, "drums": 7}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"}, "decoder": None,
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
                           "add_prefix_space": False},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    return {name: tmp_path / name for name in ("model.safetensors", "tokenizer.json")}, audio, text


def test_the_published_file_becomes_both_towers(published):
    members, audio, text = published
    found = files.convert({"model.safetensors": members["model.safetensors"]})
    assert {name: array.shape for name, array in found.items()} == TINY.tensors()
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in audio.items())
    found = files.convert(members)
    assert bytes(found.pop(files.STORED_TOKENIZER)) == members["tokenizer.json"].read_bytes()
    assert found.keys() == text.keys()
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in text.items())


def test_another_file_is_refused(published):
    members, _, _ = published
    save_file({"mulan.audio_to_latents.bias": torch.zeros(3)}, members["model.safetensors"])
    for given in (members, {"model.safetensors": members["model.safetensors"]}):
        with pytest.raises(BenchError, match=r"model\.safetensors"):
            files.convert(given)


def test_texts_have_unit_vectors_that_do_not_depend_on_one_another(published, monkeypatch):
    members, _, _ = published
    plugin = muq_mulan.MuQMuLan(muq_mulan.MuQMuLanSettings(), TINY)
    stored = {name: torch.from_numpy(array.copy()) for name, array in files.convert(members).items()}
    monkeypatch.setattr(muq_mulan.files, "ensure", lambda *_: None)
    monkeypatch.setattr(muq_mulan.files, "load", lambda *_: dict(stored))
    assert isinstance(plugin, TextTower)
    found = plugin.texts(["slow piano", "loud drums loud drums"])
    assert found.shape == (2, TINY.joint)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert np.array_equal(plugin.texts(["slow piano"])[0], found[0])
    assert np.abs(found[0] - found[1]).max() > 0.01
    assert plugin.texts([]).shape == (0, TINY.joint)
    with pytest.raises(BenchError, match="602"):
        plugin.texts(["slow " * 600])


def test_without_weights_it_says_what_brings_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", "muq-mulan")
    with pytest.raises(BenchError, match="bench weights pull muq-mulan"):
        plugin.prepare()
    with pytest.raises(BenchError, match="bench weights pull muq-mulan"):
        plugin.texts(["slow piano"])
    with pytest.raises(BenchError, match="random"):
        create("extractors", "muq-mulan:weights=random").texts(["slow piano"])
