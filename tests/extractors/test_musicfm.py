"""MusicFM and MuQ: spectrogram, network against transformers' conformer, checkpoints, windows, lanes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as fn

from bench import weights
from bench.audio.windows import windows
from bench.errors import BenchError
from bench.extract.pooling import sums
from bench.extract.set_key import set_key
from bench.registry import create, get
from bench.testing.clips import clip
from bench_extractors import _musicfm_weights as files
from bench_extractors._conformer import Conformer
from bench_extractors._modules import module_shapes
from bench_extractors._musicfm_net import DecibelMel, MusicFMNet
from bench_extractors.musicfm import TINY

from .networks import TinyContract, apart, built, random_tensors, states

RATE = 24_000


class TestMusicFM(TinyContract):
    spec = "musicfm"


class TestMusicFMPublished(TinyContract):
    spec, lane = "musicfm", "published"


class TestMuQ(TinyContract):
    spec = "muq"


# -- spectrogram ----------------------------------------------------------------------------------------


def decibels(wave):
    """The spectrogram written down once more, in float64 (128, T)."""
    padded = np.pad(wave.astype(np.float64), 1024, mode="reflect")
    starts = np.arange(len(wave) // 240) * 240
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    power = np.abs(np.fft.rfft(padded[starts[:, None] + np.arange(2048)] * window)) ** 2
    hertz = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 12_000 / 700), 130) / 2595) - 1)
    bins = np.arange(1025) * RATE / 2048
    bank = np.zeros((128, 1025))
    for band, (low, middle, high) in enumerate(zip(hertz, hertz[1:], hertz[2:], strict=False)):
        bank[band] = np.maximum(np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)), 0)
    return 10 * np.log10(np.maximum(bank @ power.T, 1e-10))


@pytest.mark.parametrize("samples", [1025, 24_000, 24_239, 24_240])
def test_the_spectrogram_is_torchaudios(samples):
    wave = clip(samples / RATE, RATE, 1)
    mel = DecibelMel(128)
    mel.mean, mel.std = torch.tensor(6.0), torch.tensor(2.0)
    found = mel(torch.from_numpy(wave)[None])[0].numpy() * 2 + 6
    wanted = decibels(wave)
    assert found.shape == wanted.shape == (128, samples // 240)
    assert np.abs(found - wanted).max() < 1e-2  # dB, of float32 at -60 dB
    assert np.abs(found - wanted).mean() < 1e-4


def test_silence_is_minus_100_decibels():
    assert DecibelMel(128)(torch.zeros(1, 2400)).unique().tolist() == [-100.0]


# -- network --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs():
    """transformers' conformer encoder of a small size, and how the states before and after its blocks are had."""
    modeling = pytest.importorskip(
        "transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer", reason="transformers is not installed"
    )
    config = modeling.Wav2Vec2ConformerConfig(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, hidden_act="swish",
        position_embeddings_type="rotary", conv_depthwise_kernel_size=7, num_conv_pos_embedding_groups=4, layerdrop=0.0,
    )  # fmt: skip
    return modeling.Wav2Vec2ConformerEncoder(config).eval()


def test_the_conformer_is_transformers_conformer(theirs):
    own = {name: tuple(t.shape) for name, t in theirs.state_dict().items()}
    wanted = module_shapes(lambda: Conformer(24, 3, 2, 32, 7))
    extra = [name for name in own.keys() - wanted.keys() if not name.endswith("num_batches_tracked")]
    assert {name.split(".")[0] for name in extra} == {"embed_positions", "pos_conv_embed"}
    tensors = random_tensors(wanted)
    assert not theirs.load_state_dict(tensors, strict=False).unexpected_keys
    ours, _ = built(lambda: Wrapped(24, 3, 2, 32, 7), {f"inner.{name}": t for name, t in tensors.items()})
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 50, 24)).astype(np.float32))
    wanted = []
    for layer in theirs.layers:
        layer.register_forward_hook(lambda _m, _i, out: wanted.append(out[0] if isinstance(out, tuple) else out))
    with torch.inference_mode():
        last = theirs(x.clone()).last_hidden_state
        found = list(ours(x))
    assert len(found) == 4
    assert torch.equal(found[0], x)
    assert max(apart(a, b) for a, b in zip(found[1:], [*wanted[:-1], last], strict=True)) < 5e-6
    assert apart(found[-1], wanted[-1]) > 0.1  # the last one is normalised once more


class Wrapped(torch.nn.Module):
    """A conformer that is optimised by itself."""

    def __init__(self, *sizes):
        super().__init__()
        self.inner = Conformer(*sizes)

    def forward(self, x):
        return self.inner(x)

    optimize = MusicFMNet.optimize


def plain_front(tensors, mel):
    """The front end as its paper draws it, batch normalisations where they stand, (B, mels, T) to (B, T', width)."""

    def norm(x, name):
        running = [tensors[f"{name}.running_{k}"].double() for k in ("mean", "var")]
        return fn.batch_norm(x, *running, tensors[f"{name}.weight"].double(), tensors[f"{name}.bias"].double())

    def conv(x, name, stride):
        return fn.conv2d(x, tensors[f"{name}.weight"].double(), tensors[f"{name}.bias"].double(), stride, 1)

    x = mel.double()[:, None]
    for at in ("conv.conv.0", "conv.conv.1"):
        inner = norm(conv(fn.relu(norm(conv(x, f"{at}.conv1", 2), f"{at}.bn1")), f"{at}.conv2", 1), f"{at}.bn2")
        x = fn.relu(inner + norm(conv(x, f"{at}.conv3", 2), f"{at}.bn3"))
    flat = x.permute(0, 3, 1, 2).flatten(2)  # channels before bands
    return fn.linear(flat, tensors["conv.linear.weight"].double(), tensors["conv.linear.bias"].double())


def test_the_front_end_is_the_plain_one():
    net, tensors = built(TINY.module)
    waves = torch.from_numpy(np.stack([clip(1.01, RATE, 0), clip(1.01, RATE, 1)]))
    with torch.inference_mode():
        found = states(net, waves)[0]
        assert apart(found, plain_front(tensors, net.mel(waves)).float()) < 5e-6


@pytest.mark.parametrize(("seconds", "frames"), [(1025 / RATE, 1), (5, 125), (1.01, 26), (30, 750)])
def test_25_frames_a_second(seconds, frames):
    net, _ = built(TINY.module)
    with torch.inference_mode():
        found = states(net, torch.from_numpy(clip(seconds, RATE, 0))[None])
    assert [tuple(s.shape) for s in found] == [(1, frames, TINY.width)] * (TINY.depth + 1)


def test_parameters_are_those_of_the_published_models():
    shapes = files.published_shapes()
    learned = {name: np.prod(s) for name, s in shapes.items() if "running" not in name}
    convolution = 1024 * (1024 // 16) * 128 + 128 + 1024  # the positional one, in the files but never called
    conformer = sum(n for name, n in learned.items() if name.startswith("conformer."))
    front = sum(n for name, n in learned.items() if name.startswith("conv."))
    assert conformer + convolution == 298_499_200
    assert front == 26_233_856
    assert conformer + front == get("extractors", "musicfm").parameters == get("extractors", "muq").parameters


def test_operations_are_counted():
    """30 s: 7.25 G multiplications a second in maps, 0.46 in attention, 13.66 in the front end."""
    assert create("extractors", "musicfm").operations(30 * RATE) == pytest.approx(2 * 30 * 21.37e9, rel=0.01)


# -- checkpoints ----------------------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A checkpoint as upstream writes it, of the tiny size, and the levels beside it."""
    monkeypatch.setattr(files, "FULL", TINY)
    shapes = files.published_shapes()
    state = random_tensors(shapes)
    extra = {
        "cls_token": (24,), "linear.weight": (8, 24), "linear.bias": (8,), "conformer.embed_positions.inv_freq": (6,),
        "conformer.pos_conv_embed.conv.weight_g": (1, 1, 128), "conformer.pos_conv_embed.conv.weight_v": (24, 2, 128),
        "conformer.pos_conv_embed.conv.bias": (24,), "quantizer_melspec_2048_0.codebook": (4, 8),
        "preprocessor_melspec_2048.mel_stft.mel_scale.fb": (1025, 16),
        "conv.conv.0.bn1.num_batches_tracked": (), "conformer.layers.1.conv_module.batch_norm.num_batches_tracked": (),
    }  # fmt: skip
    whole = {f"model.{name}": t for name, t in (state | random_tensors(extra)).items()}
    levels = {"melspec_2048_cnt": 1, "melspec_2048_mean": 6.5, "melspec_2048_std": 18.0, "spec_mean": 1.0}
    members = {"pretrained_msd.pt": tmp_path / "a.pt", "msd_stats.json": tmp_path / "b.json"}
    torch.save({"state_dict": whole}, members["pretrained_msd.pt"])
    members["msd_stats.json"].write_text(json.dumps(levels))
    return members, state, whole


def test_a_checkpoint_becomes_exactly_the_networks_tensors(published):
    members, state, _ = published
    found = files.convert_musicfm(members)
    assert {name: array.shape for name, array in found.items()} == TINY.tensors()
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in state.items())
    assert (found["mel.mean"], found["mel.std"]) == (6.5, 18.0)


def test_muqs_checkpoint_becomes_the_same_tensors(published, tmp_path):
    _, state, whole = published
    whole["model.rvq.quantizers.0.codebook.weight"] = torch.zeros(2, 2)
    save_file(whole, tmp_path / "model.safetensors")
    found = files.convert_muq({"model.safetensors": tmp_path / "model.safetensors"})
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in state.items())
    assert (found["mel.mean"], found["mel.std"]) == tuple(np.float32(files.MSD_LEVELS))


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape", "levels", "no state", "not torch"])
def test_another_checkpoint_is_refused(published, fault):
    members, _, whole = published
    checkpoint, said = members["pretrained_msd.pt"], "conformer.layer_norm.weight"
    match fault:
        case "missing":
            del whole["model.conformer.layer_norm.weight"]
        case "unexpected":
            whole["model.surprise"], said = torch.zeros(1), "unexpected: surprise"
        case "shape":
            whole["model.conformer.layer_norm.weight"] = torch.zeros(7)
        case "levels":
            members["msd_stats.json"].write_text(json.dumps({"melspec_2048_mean": 6.5, "melspec_2048_std": 0.0}))
            said = "melspec_2048_std 0.0"
        case "no state":
            said = "state_dict"
    torch.save(whole if fault == "no state" else {"state_dict": whole}, checkpoint)
    if fault == "not torch":
        checkpoint.write_bytes(b"<html>not found</html>")
        said = "cannot be read as plain tensors"
    with pytest.raises(BenchError, match=said):
        files.convert_musicfm(members)


def test_checkpoint_and_levels_are_bound_by_their_hashes():
    for name, one in files.MUSICFM.items():
        assert one.name == f"musicfm-{name}"
        assert [source.file for source in one.sources] == [f"pretrained_{name}.pt", f"{name}_stats.json"]
        assert all(source.sha256 and source.bytes and files.REVISION in source.origin for source in one.sources)
        assert set(one.parts[0].members) == {source.file for source in one.sources}
    assert files.MUSICFM["msd"].sources[0].bytes == 1_316_802_088
    assert files.MUQ.non_commercial


# -- plugin ---------------------------------------------------------------------------------------------


def cut(plugin, seconds):
    wave = np.ones(round(seconds * RATE), np.float32)
    return [len(window) / RATE for window in windows([wave], plugin.window, plugin.clip, RATE)]


def test_windows_of_30_seconds_are_never_padded_in_the_corrected_lane():
    for name in ("musicfm", "muq"):
        plugin = create("extractors", f"{name}:weights=random")
        assert cut(plugin, 65) == [30, 30, 5]
        assert cut(plugin, 60.5) == [30, 30]
        assert cut(plugin, 0.5) == [0.5]


def test_the_published_lane_hears_30_seconds_filled_with_zeros():
    plugin = create("extractors", "musicfm", lane="published")
    assert cut(plugin, 65) == cut(plugin, 4) == [30]
    assert dict(plugin.layers) == {"12": 750}
    assert plugin.exempt == {"width"}
    assert plugin.trained_on == ("fma-large",)


def test_published_columns_are_times_and_corrected_ones_features():
    corrected, published = (get("extractors", "musicfm").tiny(lane) for lane in ("corrected", "published"))
    waves = torch.from_numpy(clip(30, RATE, 0))[None]
    for plugin in (corrected, published):
        plugin.load("cpu", "float32")
    frames = dict(corrected.frames(waves))["2"]
    assert frames.shape == (1, 750, 24)
    ((layer, columns),) = published.frames(waves)
    assert layer == "2"
    assert torch.equal(columns[0, 0], frames[0].mean(dim=1))
    assert sums(corrected, waves)["2"][1].shape == (1, 24)


def test_the_wrong_axis_cannot_be_averaged():
    plugin = get("extractors", "musicfm").tiny()
    plugin.load("cpu", "float32")
    right = plugin.frames
    plugin.frames = lambda waves: ((name, x.mean(dim=-1)[:, None]) for name, x in right(waves))
    with pytest.raises(BenchError, match=r"layer .* has shape"):
        sums(plugin, torch.zeros(1, RATE))


@pytest.mark.parametrize("name", ["musicfm", "muq"])
@pytest.mark.parametrize(("precision", "version"), [("float32", "1"), ("bfloat16", "2"), ("float16", "2")])
def test_vectors_of_lower_precision_have_the_version_of_the_exact_front_end(name, precision, version):
    key = set_key(create("extractors", f"{name}:weights=random,precision={precision}"))
    assert (key["version"], key["fingerprint"]["precision"]) == (version, precision)


def test_lower_precision_stays_near_and_says_so():
    exact, rough = (get("extractors", "musicfm").tiny() for _ in range(2))
    rough.settings = type(rough.settings)(weights="random", precision="bfloat16")
    waves = torch.from_numpy(clip(2, RATE, 0))[None]
    found = []
    for plugin in (exact, rough):
        plugin.load("cpu", "float32")
        found.append({name: x.float().mean(1)[0] for name, x in plugin.frames(waves)})
    for name, vector in found[0].items():
        assert fn.cosine_similarity(vector, found[1][name], dim=0) > 0.999
    assert exact.fingerprint() != rough.fingerprint()


@pytest.mark.parametrize(
    ("spec", "lane", "reason"),
    [
        ("musicfm:weights=msd", "published", "msd"),
        ("musicfm:precision=bfloat16", "published", "precision"),
        ("musicfm:weights=fmaa", "corrected", "Did you mean 'fma'"),
        ("muq", "published", "no published lane"),
    ],
)
def test_settings_that_make_no_sense_are_refused(spec, lane, reason):
    with pytest.raises(BenchError, match=reason):
        create("extractors", spec, lane=lane)


@pytest.mark.parametrize(("spec", "files_"), [("musicfm", "pretrained_msd.pt"), ("muq", "model.safetensors")])
def test_without_weights_it_says_what_brings_them(spec, files_, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", spec)
    (declared,) = plugin.weights
    for word in (files_, declared.license, "huggingface.co", f"bench weights pull {declared.name}"):
        assert word in plugin.unready()
        with pytest.raises(BenchError, match=word):
            plugin.load("cpu", "float32")
    assert plugin.tiny().unready() is None
    assert not weights.present(declared)


def test_defaults():
    assert create("extractors", "musicfm").default_layer == "7"
    assert create("extractors", "musicfm").trained_on == ("msd",)
    assert create("extractors", "musicfm:weights=fma").trained_on == ("fma-large",)
    muq = create("extractors", "muq")
    assert list(muq.layers) == [str(n) for n in range(13)]
    assert "music4all" in muq.trained_on
    assert muq.weights[0].non_commercial


@pytest.mark.slow
def test_full_size():
    """One clip of 5 s through 316 M untrained values: 125 finite frames of 1024 in 13 layers."""
    plugin = create("extractors", "musicfm:weights=random")
    plugin.load("cpu", "float32")
    with torch.inference_mode():
        for name, frames in plugin.frames(torch.from_numpy(clip(5, RATE, 0))[None]):
            assert frames.shape == (1, 125, plugin.layers[name])
            assert torch.isfinite(frames).all()
