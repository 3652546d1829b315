"""Basic Pitch: windows, constant-Q transform, network, published file; and the real weights where they can be had."""

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as fn
from torch.utils.flop_counter import FlopCounterMode

from bench.audio.windows import windows
from bench.extract import Extraction, open_set, set_sha256
from bench.extract.readers import Source
from bench.extract.set_key import stored_widths
from bench.registry import create, get
from bench.testing import ExtractorContract
from bench.testing.clips import clip
from bench_extractors._basic_pitch_config import FULL
from bench_extractors._basic_pitch_net import BasicPitchNet
from bench_extractors.basic_pitch import renamed

RATE, HOP, SAMPLES, SIDE = 22_050, 256, 43_844, 3840
UNTRAINED = "basic-pitch:weights=random"
DECLARED = get("extractors", "basic-pitch").weights[0]


@pytest.fixture(scope="session")
def real_cache(cache_with):
    return cache_with(DECLARED)


@pytest.fixture
def real(real_cache, monkeypatch):
    if real_cache is not None:
        monkeypatch.setenv("BENCH_CACHE", str(real_cache))


def untrained():
    plugin = create("extractors", UNTRAINED)
    plugin.load("cpu", "float32")
    return plugin


def cut(plugin, wave):
    return list(windows([wave], plugin.window, plugin.clip, RATE))


class TestUntrained(ExtractorContract):
    spec = UNTRAINED


@pytest.mark.usefixtures("real")
class TestReal(ExtractorContract):
    spec = "basic-pitch"

    def test_it_is_the_real_one(self):
        assert self.note() == ""


# -- windows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 256, 257, 36_164, 36_165, 100_000])
def test_windows_are_those_of_the_package_and_every_frame_within_the_track_counts(samples):
    wave = np.arange(1, samples + 1, dtype=np.float32)
    padded = np.pad(wave, (SIDE, SAMPLES))
    plugin = untrained()
    found = cut(plugin, wave)
    assert len(found) == -(-samples // 36_164)
    for number, window in enumerate(found):
        start = 36_164 * number
        wanted = np.where(np.arange(SAMPLES) < SIDE + samples - start, padded[start : start + SAMPLES], 0)
        assert np.array_equal(np.pad(window, (0, SAMPLES - len(window))), wanted)
        _, count = plugin._net.front_end(torch.from_numpy(window)[None])
        assert count == len(range(0, min(36_164, samples - start), HOP))


# -- constant-Q transform -------------------------------------------------------------------------------


def test_a_tone_is_loudest_at_its_own_bin():
    transform = untrained()._net.transform
    time = np.arange(SAMPLES) / RATE
    for octave in range(1, 8):
        wave = torch.from_numpy(np.sin(2 * np.pi * 55 * 2**octave * time).astype(np.float32))
        levels = transform(wave[None])[0, 60:110]
        assert (levels.argmax(1) == 36 * (octave + 1)).all()


def test_levels_are_those_of_one_filter_for_each_bin():
    """The definition, without halving the rate: filters of the bin's own length, in float64."""
    wave = clip(SAMPLES / RATE, RATE, 0).astype(np.float64)[:SAMPLES]
    quality, at = 1 / (2 ** (1 / 36) - 1), 100
    levels = untrained()._net.transform(torch.from_numpy(wave.astype(np.float32))[None])[0, at].numpy()
    power = []
    for bin_ in range(120, 309):
        frequency = 27.5 * 2 ** (bin_ / 36)
        length = int(np.ceil(quality * RATE / frequency))
        kernel = np.hanning(length + 1)[:-1] * np.exp(2j * np.pi * frequency / RATE * np.arange(length))
        piece = wave[at * HOP - (length + 1) // 2 :][:length]
        power.append(np.abs(piece @ (kernel / np.abs(kernel).sum())) ** 2 * length)
    decibels = 10 * np.log10(power)
    found = levels[120:] * np.ptp(decibels) / np.ptp(levels[120:])  # the scale of a window is its own
    gap = found - decibels
    assert np.median(np.abs(gap - np.median(gap))) < 0.3
    assert np.corrcoef(levels[120:], decibels)[0, 1] > 0.99


def test_levels_go_from_the_softest_to_the_loudest_and_silence_has_none():
    transform = untrained()._net.transform
    wave = torch.from_numpy(clip(2.0, RATE, 1)[:SAMPLES])[None]
    levels = transform(wave)
    assert levels.shape == (1, 172, 309)
    assert levels.min() == 0
    assert levels.max() == 1
    assert torch.allclose(transform(wave * 0.5), levels, atol=5e-3)
    assert not transform(torch.zeros(1, SAMPLES)).any()


# -- network --------------------------------------------------------------------------------------------


def plain(t, levels):
    """The published graph, nothing folded, in float64: levels (B, T, 309) -> contour, note, onset."""

    def norm(x, name):
        mean, variance, gamma, beta = (t[f"{name}.{kind}"] for kind in ("mean", "variance", "gamma", "beta"))
        return fn.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)

    def conv(x, name, pad, stride=1):
        return fn.conv2d(fn.pad(x, pad), t[f"{name}.weight"], t[f"{name}.bias"], stride=(1, stride))

    x = norm(levels[:, None], "input")[:, 0]
    channels = []
    for shift in (-36, 0, 36, 57, 72, 84, 93, 101):
        moved = torch.zeros_like(x)
        if shift < 0:
            moved[..., -shift:] = x[..., :shift]
        else:
            moved[..., : 309 - shift] = x[..., shift:]
        channels.append(moved[..., :264])
    x = torch.stack(channels, 1)
    contour = torch.sigmoid(conv(fn.relu(norm(conv(x, "contour", (19, 19, 1, 1)), "contour")), "contour_out", (2,) * 4))
    note = torch.sigmoid(conv(fn.relu(conv(contour, "note", (2, 2, 3, 3), 3)), "note_out", (1, 1, 3, 3)))
    onset = fn.relu(norm(conv(x, "onset", (1, 1, 2, 2), 3), "onset"))
    onset = torch.sigmoid(conv(torch.cat([note, onset], 1), "onset_out", (1,) * 4))
    return {name: values[:, 0, 15:157] for name, values in (("contour", contour), ("note", note), ("onset", onset))}


def disturbed():
    """Random tensors with norms of every kind: rising and falling, shifted, narrow and wide."""
    rng = np.random.default_rng(0)
    out = {}
    for name, tensor in untrained()._net.tensors.items():
        noise = torch.from_numpy(rng.standard_normal(tensor.shape).astype(np.float32))
        change = 0 * noise if name.endswith("weight") else noise.square() if name.endswith("variance") else 0.5 * noise
        out[name] = tensor + change
    return out


def test_the_network_equals_the_plain_one():
    tensors = disturbed()
    net = BasicPitchNet(tensors)
    waves = torch.from_numpy(np.stack([clip(2.0, RATE, seed)[:SAMPLES] for seed in (0, 1)]))
    with torch.inference_mode():
        found = dict(zip(untrained().layers, net(*net.front_end(waves)), strict=True))
        wanted = plain({name: tensor.double() for name, tensor in tensors.items()}, net.transform(waves).double())
    for name, values in wanted.items():
        assert found[name].shape == (2, 142, untrained().layers[name])
        assert np.ptp(values.numpy()) > 0.01
        assert (found[name] - values).abs().max() < 1e-5, name


def test_operations_are_those_that_torch_counts():
    plugin = untrained()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        list(plugin.frames(torch.zeros(1, SAMPLES)))
    assert plugin.operations(SAMPLES) == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_a_batch_changes_no_bit():
    plugin = untrained()
    waves = torch.from_numpy(np.stack([clip(2.0, RATE, seed)[:SAMPLES] for seed in range(3)]))
    together = dict(plugin.frames(waves))
    for at in range(3):
        for name, alone in plugin.frames(waves[at : at + 1]):
            assert torch.equal(alone[0], together[name][at])


# -- pooling, keys, files -------------------------------------------------------------------------------


def test_a_vector_is_the_mean_and_the_deviation_over_the_whole_track(tmp_path):
    wave = clip(5.0, RATE, 2)
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    plugin = untrained()
    work = Extraction(plugin, tmp_path / "cache", log=lambda _line: None)
    assert work([Source("a", str(tmp_path / "a.wav"))]).done == 1
    assert stored_widths(plugin) == {"contour": 528, "note": 176, "onset": 176}
    parts = [dict(plugin.frames(torch.from_numpy(window)[None])) for window in cut(plugin, wave)]
    for name in plugin.layers:
        frames = torch.cat([part[name][0] for part in parts]).double().numpy()
        ((vector,), _) = open_set(work.cache, plugin).read(name, ["a"])
        np.testing.assert_allclose(vector, np.concatenate([frames.mean(0), frames.std(0)]), rtol=1e-4, atol=1e-6)


def test_settings_have_sets_of_their_own():
    specs = ("basic-pitch", UNTRAINED, f"{UNTRAINED},seed=1")
    assert len({set_sha256(create("extractors", spec)) for spec in specs}) == len(specs)


def test_it_says_what_it_was_trained_on_and_how_large_it_is():
    plugin = create("extractors", "basic-pitch")
    assert plugin.trained_on == ("guitarset", "ikala", "maestro", "medleydb", "slakh")
    assert plugin.license == "Apache-2.0"
    assert plugin.parameters == 16_782 + 2 * (1 + 8 + 32)  # trained values, and the statistics of the normalisations


def test_the_published_variables_become_the_networks_tensors():
    rng = np.random.default_rng(0)
    wanted = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in FULL.tensors().items()}
    order = ["input", "contour", "contour", "contour_out", "note", "onset", "onset", "note_out", "onset_out"]
    norms, published = (0, 2, 6), {"optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE": np.array(3)}
    kinds = {"gamma": "gamma", "beta": "beta", "mean": "moving_mean", "variance": "moving_variance"}
    for at, name in enumerate(order):
        if at in norms:
            found = {theirs: wanted[f"{name}.{ours}"] for ours, theirs in kinds.items()}
        else:
            found = {"kernel": wanted[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": wanted[f"{name}.bias"]}
        published |= {
            f"layer_with_weights-{at}/{kind}/.ATTRIBUTES/VARIABLE_VALUE": array for kind, array in found.items()
        }
    found = renamed(published)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], array) for name, array in wanted.items())


# -- the real weights -----------------------------------------------------------------------------------

# The package's nmp.onnx under ONNX Runtime 1.32 on the sound below, in the package's windows, every frame within the
# track: norm and three largest values of mean and deviation.
ORIGINAL = {
    "contour": (1.712081, {154: 0.334119, 130: 0.267262, 109: 0.172947}),
    "note": (1.155983, {51: 0.457459, 43: 0.392455, 36: 0.198056}),
    "onset": (0.991999, {36: 0.153287, 43: 0.129239, 39: 0.124619}),
}


@pytest.mark.usefixtures("real")
def test_it_computes_what_the_original_computes(tmp_path):
    time = np.arange(5 * RATE) / RATE
    tones = ((220, 0.5), (329.63, 0.75), (523.25, 1.0))
    wave = sum(0.2 * np.sin(2 * np.pi * hertz * time) * np.exp(-4 * (time % period)) for hertz, period in tones)
    soundfile.write(tmp_path / "s.wav", wave.astype(np.float32), RATE, subtype="FLOAT")
    work = Extraction(create("extractors", "basic-pitch"), tmp_path / "cache", log=lambda _line: None)
    assert work([Source("s", str(tmp_path / "s.wav"))]).done == 1
    for layer, (norm, largest) in ORIGINAL.items():
        ((vector,), _) = open_set(work.cache, work.extractor).read(layer, ["s"])
        assert np.linalg.norm(vector) == pytest.approx(norm, rel=1e-4)
        for at, value in largest.items():
            assert vector[at] == pytest.approx(value, abs=1e-4), (layer, at)
