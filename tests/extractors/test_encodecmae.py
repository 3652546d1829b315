"""EncodecMAE: EnCodec's encoder against transformers', the transformer, the checkpoint, windows."""

import numpy as np
import pytest
import torch
from torch.nn import functional as fn

from bench import weights
from bench.audio.windows import windows
from bench.errors import BenchError
from bench.registry import create, get
from bench.testing.clips import clip
from bench_extractors import _encodecmae_weights as files
from bench_extractors._encodecmae_net import positions
from bench_extractors._modules import load_module
from bench_extractors._seanet import SEANet
from bench_extractors.encodecmae import TINY, EncodecMAE, EncodecMAESettings

from .networks import TinyContract, apart, random_tensors, states

RATE = 24_000


class TestEncodecMAE(TinyContract):
    spec = "encodecmae"


class TestEncodecMAEPublished(TinyContract):
    spec, lane = "encodecmae", "published"


def published_state(config):
    """A state dict as upstream writes it: weight norms, heads counted fastest, one net under every layer's name."""
    out = {}
    for name, tensor in random_tensors(config.tensors()).items():
        if name.startswith("wav_encoder.") and ".lstm." not in name:
            upstream = name.replace("wav_encoder.", "wav_encoder.model.model.")
            stem, _, kind = upstream.rpartition(".")
            if kind == "weight":
                out[f"{stem}.conv.conv.weight_g"] = 1 + tensor.square().sum((1, 2), keepdim=True).sqrt()
                out[f"{stem}.conv.conv.weight_v"] = tensor
            else:
                out[f"{stem}.conv.conv.{kind}"] = tensor
        elif name.startswith("wav_encoder."):
            out[name.replace("wav_encoder.", "wav_encoder.model.model.")] = tensor
        elif name.startswith("feed."):
            for number in range(config.depth):
                out[f"visible_encoder.encoder_layers.{number}.ff_layer.{name[5:]}"] = tensor
        elif name.startswith("layers."):
            _, number, rest = name.split(".", 2)
            rest = rest if rest.startswith("norm") else f"att_layer.{rest}"
            out[f"visible_encoder.encoder_layers.{number}.{rest}"] = tensor
        else:
            before = {"scale": "positional_encoder.", "final_norm": "visible_encoder."}.get(name.split(".")[0], "")
            out[before + name] = tensor
    for name in ("decoder.final_norm.weight", "decoder_projector.bias", "head.layer.bias", "target_encoder.model.x"):
        out[name] = torch.zeros(3)
    return out


@pytest.fixture
def published(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FULL", TINY)
    return {"model.pt": tmp_path / "model.pt"}, published_state(TINY)


def converted(members, state):
    torch.save({"state_dict": state}, members["model.pt"])
    return {name: torch.from_numpy(array) for name, array in files.convert(members).items()}


def loaded(tensors):
    return load_module(TINY.module, dict(tensors), torch.float32)


# -- network --------------------------------------------------------------------------------------------


def test_seanet_is_transformers_encodec():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    theirs = transformers.EncodecModel(transformers.EncodecConfig(num_filters=4, hidden_size=8)).encoder.eval()
    prefixed = {f"wav_encoder.model.{name.removeprefix('layers.')}": t for name, t in theirs.state_dict().items()}
    own = {files.local_name(name.replace(".conv.", ".conv.conv.")): t.clone() for name, t in prefixed.items()}
    for name in [name.removesuffix("_g") for name in own if name.endswith("_g")]:
        own[name] = files.folded(own, name, dim=0)
    ours = SEANet(4, 8)
    ours.load_state_dict({name.removeprefix("wav_encoder."): tensor for name, tensor in own.items()})
    for samples in (1, 7, 319, 320, 321, 24_001):
        waves = torch.from_numpy(np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32))
        with torch.inference_mode():
            found, wanted = ours(waves), theirs(waves[:, None]).transpose(1, 2)
        assert found.shape[1] == -(-samples // 320)
        assert apart(found, wanted) < 5e-6


def plain(state, features, valid, shape):
    """The transformer as upstream draws it, from its own tensors, in float64: features (T, F) to the last layer's."""
    t = {name: tensor.double() for name, tensor in state.items()}

    def norm(x, name):
        return fn.layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"])

    x = fn.linear(features.double(), t["feat_projector.weight"], t["feat_projector.bias"])
    place, width = torch.arange(len(x)).double()[:, None], shape.width
    table = torch.zeros_like(x)
    speed = 10_000.0 ** (-torch.arange(0, width, 2).double() / width)
    table[:, 0::2], table[:, 1::2] = torch.sin(place * speed), torch.cos(place * speed)
    one = two = x + t["positional_encoder.scale"] * table
    hidden = torch.arange(len(x)) >= valid if valid else torch.zeros(len(x), dtype=torch.bool)
    for number in range(shape.depth):
        at = f"visible_encoder.encoder_layers.{number}"
        q, k, v = ((one @ t[f"{at}.att_layer.{w}.weight"].T).view(len(x), -1, shape.heads) for w in ("wq", "wk", "wv"))
        logits = torch.einsum("qdh,kdh->hqk", q, k) / q.shape[1] ** 0.5 - 1e9 * hidden
        mixed = torch.einsum("hqk,kdh->qdh", logits.softmax(-1), v).flatten(1)
        attended = mixed @ t[f"{at}.att_layer.wo.weight"].T
        one, two = norm(one + attended, f"{at}.norm1"), two + attended
        up = fn.relu(fn.linear(one, t[f"{at}.ff_layer.0.weight"], t[f"{at}.ff_layer.0.bias"]))
        fed = fn.linear(up, t[f"{at}.ff_layer.2.weight"], t[f"{at}.ff_layer.2.bias"])
        one, two = norm(one + fed, f"{at}.norm2"), two + fed
    return one, one + norm(two, "visible_encoder.final_norm")


@pytest.mark.parametrize("samples", [9_600, 9_700, 200])
def test_the_network_is_upstreams(published, samples):
    members, state = published
    net = loaded(converted(members, state))
    wave = torch.from_numpy(clip(samples / RATE, RATE, 0))[None]
    with torch.inference_mode():
        features, found = net.wav_encoder(wave), states(net, wave)
    last, final = plain(state, features[0], samples // 320, TINY)
    assert len(found) == TINY.depth + 2
    assert apart(found[-2][0], last.float()) < 5e-6
    assert apart(found[-1][0], final.float()) < 5e-6


def test_positions_are_sines_and_cosines_by_turns():
    table = positions(torch.zeros(1, 3, 4))
    assert torch.allclose(table[2], torch.tensor([2.0, 2.0, 0.02, 0.02]).sin() * torch.tensor([1, 0, 1, 0]) +
                          torch.tensor([2.0, 2.0, 0.02, 0.02]).cos() * torch.tensor([0, 1, 0, 1]))  # fmt: skip


def test_parameters_are_those_of_the_published_model():
    shapes = files.FULL.tensors()
    used = sum(int(np.prod(shape)) for shape in shapes.values())
    gains = sum(shape[0] for name, shape in shapes.items() if name.startswith("wav_encoder.") and len(shape) == 3)
    layer = 4 * 768 * 768 + 4 * 768
    feed = 2 * 768 * 4096 + 4096 + 768
    decoder = 2 * layer + feed + 2 * 768 + 768 * 769  # with its projection
    head, targets = 8192 * 769, 32 * (2 * 1024 * 128 + 1024 + 1)
    assert used + gains + decoder + head + targets == 63_780_641
    assert used == get("extractors", "encodecmae").parameters


def test_operations_are_counted():
    """4 s: 1.49 G multiplications a second in EnCodec, 6.49 in maps, 0.35 in attention."""
    assert create("extractors", "encodecmae").operations(4 * RATE) == pytest.approx(2 * 4 * 8.33e9, rel=0.01)


# -- checkpoint -----------------------------------------------------------------------------------------


def test_every_tensor_arrives(published):
    members, state = published
    found = converted(members, state)
    assert {name: tuple(t.shape) for name, t in found.items()} == TINY.tensors()
    v, g = (state[f"wav_encoder.model.model.0.conv.conv.weight_{k}"] for k in "vg")
    wanted = v * g / v.square().sum((1, 2), keepdim=True).sqrt()
    assert torch.allclose(found["wav_encoder.0.weight"], wanted, rtol=1e-6)
    assert torch.equal(found["feed.0.weight"], state["visible_encoder.encoder_layers.1.ff_layer.0.weight"])


def test_from_a_file_that_is_added_to_frames(published, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    members, state = published
    net = loaded(converted(members, state))
    plugin = EncodecMAE(EncodecMAESettings(), TINY)
    assert plugin.unready()
    weights.add(files.ENCODECMAE, members["model.pt"], log=lambda _line: None)
    assert plugin.unready() is None
    plugin.load("cpu", "float32")
    wave = torch.from_numpy(clip(0.5, RATE, 0))[None]
    with torch.inference_mode():
        found = dict(plugin.frames(wave))
        assert all(torch.equal(a, b) for a, b in zip(found.values(), states(net, wave), strict=True))
    assert len(plugin.fingerprint()["sha256"]) == 64
    with pytest.raises(BenchError, match="does not hold the"):  # the file is of the tiny size
        EncodecMAE(EncodecMAESettings()).load("cpu", "float32")


@pytest.mark.parametrize("fault", ["different nets", "missing", "unexpected", "second version"])
def test_another_checkpoint_is_refused(published, fault):
    members, state = published
    match fault:
        case "different nets":
            name = "visible_encoder.encoder_layers.1.ff_layer.0.weight"
            state[name], said = state[name] + 1, "layers.1.feed.0.weight differs"
        case "missing":
            del state["feat_projector.bias"]
            said = "1 missing: feat_projector.bias"
        case "unexpected":
            state["surprise"], said = torch.zeros(1), "unexpected: surprise"
        case "second version":
            state = {f"visible_encoder.model.{name}": tensor for name, tensor in state.items()}
            said = "missing"
    with pytest.raises(BenchError, match=said):
        converted(members, state)


# -- plugin ---------------------------------------------------------------------------------------------


def cut(lane, samples):
    plugin = create("extractors", "encodecmae:weights=random", lane=lane)
    return [len(w) for w in windows([np.ones(samples, np.float32)], plugin.window, plugin.clip, RATE)]


def test_windows_of_4_seconds():
    assert sum(-(-n // 320) for n in cut("corrected", 30 * RATE)) == 2250
    assert cut("corrected", 96_000 + 2_048) == [96_000]
    assert cut("corrected", 96_000 + 2_049) == [96_000, 2_049]
    assert cut("published", 96_000 + 1) == [96_000, 1]


def test_without_weights_it_says_what_brings_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", "encodecmae")
    for word in ("model.pt", "MIT", "lpepino/encodecmae-base", "bench weights pull encodecmae"):
        with pytest.raises(BenchError, match=word):
            plugin.load("cpu", "float32")
    assert plugin.trained_on == ("audioset", "fma-large", "librilight")
    assert list(plugin.layers) == [*map(str, range(11)), "final"]
    with pytest.raises(BenchError, match="precision"):
        create("extractors", "encodecmae:precision=float16", lane="published")


@pytest.mark.slow
def test_full_size():
    """5 s through 37 M untrained values: 300 and 75 finite frames of 768 in 12 layers."""
    plugin = create("extractors", "encodecmae:weights=random")
    plugin.load("cpu", "float32")
    for window, frames in zip(windows([clip(5, RATE, 0)], plugin.window, plugin.clip, RATE), (300, 75), strict=True):
        with torch.inference_mode():
            for name, found in plugin.frames(torch.from_numpy(window)[None]):
                assert found.shape == (1, frames, plugin.layers[name])
                assert torch.isfinite(found).all()
