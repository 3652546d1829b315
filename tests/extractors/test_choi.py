"""Choi's networks: windows, spectrograms, convolutions and GRUs, files of Keras 1; the real weights where they are."""

import numpy as np
import pytest
import torch
import torch.nn.functional as fn

from bench import weights
from bench.audio.windows import windows
from bench.errors import BenchError
from bench.extract import set_sha256
from bench.registry import create
from bench.testing import ExtractorContract
from bench.testing.clips import clip
from bench_extractors import _choi_weights as files
from bench_extractors._choi_config import FULL, RATE, TINY
from bench_extractors._choi_net import ChoiNet
from bench_extractors.choi import Choi, ChoiSettings

NETS = ("crnn", "cnn", "compact")
needs_weights = pytest.mark.skipif(
    not weights.present(files.CHOI), reason="needs Choi's weights: bench weights pull choi"
)


def tiny(net, **settings):
    return Choi(ChoiSettings(net=net, weights="random", **settings), TINY[net])


def loaded(plugin):
    plugin.load("cpu", "float32")
    return plugin


def vectors(plugin, wave):
    """Layer -> vector of one window."""
    with torch.inference_mode():
        return {name: frames[0, 0].numpy() for name, frames in plugin.frames(torch.from_numpy(wave)[None])}


# -- contracts ------------------------------------------------------------------------------------------


class TestTinyCRNN(ExtractorContract):
    spec = "choi:net=crnn,weights=random"

    def make(self):
        return tiny("crnn")


class TestTinyCNN(ExtractorContract):
    spec = "choi:net=cnn,weights=random"

    def make(self):
        return tiny("cnn")


class TestTinyCompact(ExtractorContract):
    spec = "choi:net=compact,weights=random"

    def make(self):
        return tiny("compact")


# -- windows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("net", "samples"), [("crnn", 349_440), ("cnn", 349_440), ("compact", 348_000)])
def test_a_window_ends_with_the_track_if_half_a_window_or_more_is_left(net, samples):
    window = create("extractors", f"choi:net={net},weights=random").window

    def starts(count):
        wave = np.arange(count, dtype=np.float64)
        return [int(cut[0]) for cut in windows([wave], window, Choi.clip, RATE)]

    assert starts(samples) == [0]
    assert starts(30 * RATE) == [0]
    assert starts(samples + samples // 2 - 1) == [0]
    assert starts(samples + samples // 2) == [0, samples // 2]
    assert starts(2 * samples + 5) == [0, samples]
    with pytest.raises(BenchError, match="too short"):
        starts(9 * RATE)


# -- spectrograms ---------------------------------------------------------------------------------------


def mel(wave, before, count, window):
    """Mel power (96, count) in float64, frame by frame; `wave` begins `before` samples ahead of the first frame."""
    from bench_extractors._mel import mel_filters

    filters = mel_filters(12_000, 512, 96)
    pieces = [wave[before + 256 * at : before + 256 * at + 512] for at in range(count)]
    return np.stack([filters @ np.abs(np.fft.rfft(piece * window)) ** 2 for piece in pieces], axis=1)


HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)


def test_the_spectrogram_of_crnn_and_cnn():
    wave = clip(29.12, RATE, 0)
    expected = 10 * np.log10(np.maximum(mel(np.pad(wave.astype(float), 256, "reflect"), 0, 1366, HANN) ** 2, 1e-10))
    expected = np.maximum(expected, expected.max() - 80)
    example, trained = (
        loaded(create("extractors", f"choi:weights=random,reading={r}")) for r in ("example", "trained")
    )
    found = example._net.front_end(torch.from_numpy(wave)[None])[0][0].numpy()
    assert found.shape == (96, 1366)
    assert (expected > expected.max() - 79).mean() > 0.05
    assert np.abs(found - expected).max() < 0.02  # of 80 dB, at the softest values
    assert np.abs(found - expected).mean() < 1e-4
    standardised = trained._net.front_end(torch.from_numpy(wave)[None])[0][0].numpy()
    assert np.abs(standardised - (found - found.mean()) / found.std()).max() < 1e-4


def test_the_spectrogram_of_compact():
    wave = clip(29.0, RATE, 1)
    turned = HANN[::-1]  # convolution, not correlation, with Fourier kernels
    expected = 10 * np.log10(np.maximum(mel(np.pad(wave.astype(float), 256), 0, 1360, turned), 1e-10))
    expected = np.maximum(expected - expected.max(), -80)
    found = loaded(create("extractors", "choi:net=compact,weights=random"))._net.front_end(torch.from_numpy(wave)[None])
    assert found[0].shape == (1, 96, 1360)
    assert np.abs(found[0][0].numpy() - expected).max() < 0.02


@pytest.mark.parametrize("net", NETS)
def test_silence_and_the_loudest_sound_stay_finite(net):
    plugin = loaded(tiny(net))
    for wave in (np.zeros(24_000, np.float32), np.full(24_000, 1e4, np.float32)):
        assert all(np.isfinite(vector).all() for vector in vectors(plugin, wave).values())


# -- networks -------------------------------------------------------------------------------------------


def disturbed(config, seed=0):
    """Tensors with norms of every kind: negative gammas, shifts, narrow and wide deviations."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, shape in config.tensors().items():
        noise = rng.standard_normal(shape)
        out[name] = noise / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.5 * noise
        if name.endswith("gamma"):
            out[name] = noise + 0.5
        if name.endswith("deviation"):
            out[name] = 0.2 + noise**2
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in out.items()}


def plain(tensors, config, spectrogram, *, variance=False, epsilon=1e-6):
    """The networks as the source draws them, nothing folded, in float64: (B, 96, T) -> layer -> (B, D)."""
    t = {name: tensor.double() for name, tensor in tensors.items()}

    def norm(x, name, axis):
        shape = [-1 if at == axis else 1 for at in range(4)]
        gamma, beta = (t[f"{name}.{kind}"].view(shape) for kind in ("gamma", "beta"))
        if config.net == "compact":
            mean, divisor = x.mean((2, 3), keepdim=True), (x.var((2, 3), keepdim=True, correction=0) + 1e-3).sqrt()
        else:
            mean, spread = (t[f"{name}.{kind}"].view(shape) for kind in ("mean", "deviation"))
            divisor = (spread + epsilon).sqrt() if variance else spread + epsilon
        return gamma * (x - mean) / divisor + beta

    def gru(x, name):
        gates, recurrent, bias = (t[f"{name}.{kind}"].chunk(3) for kind in ("input.weight", "state.weight", "bias"))
        state, out = torch.zeros(len(x), len(bias[0]), dtype=torch.double), []
        for step in x.unbind(1):
            z, r = ((0.2 * (step @ gates[i].T + state @ recurrent[i].T + bias[i]) + 0.5).clamp(0, 1) for i in (0, 1))
            new = torch.tanh(step @ gates[2].T + (r * state) @ recurrent[2].T + bias[2])
            state = z * state + (1 - z) * new
            out.append(state)
        return torch.stack(out, 1)

    x, out = spectrogram.double()[:, None], {}
    if config.net != "compact":
        x = norm(fn.pad(x, (config.padding, config.padding)), "norm0", 3)
    for block, pool in enumerate(config.pools, 1):
        x = fn.conv2d(x, t[f"conv{block}.weight"], t[f"conv{block}.bias"], padding="same")
        x = fn.max_pool2d(fn.elu(norm(x, f"norm{block}", 1)), pool)
        out[str(block)] = x.mean((2, 3))
    if config.net == "compact":
        return {**out, "all": torch.cat(list(out.values()), 1)}
    last = gru(gru(x[:, :, 0].transpose(1, 2), "gru1"), "gru2")[:, -1] if config.hidden else x[:, :, 0, 0]
    return {"penultimate": last, "taggram": torch.sigmoid(fn.linear(last, t["output.weight"], t["output.bias"]))}


@pytest.mark.parametrize(
    ("sizes", "net", "reading", "how"),
    [
        (TINY, "crnn", "trained", {}),
        (TINY, "crnn", "example", {"variance": True, "epsilon": 1e-5}),
        (TINY, "cnn", "trained", {}),
        (TINY, "cnn", "example", {}),
        (TINY, "compact", "trained", {}),
        (FULL, "crnn", "trained", {}),
        (FULL, "cnn", "trained", {}),
        (FULL, "compact", "trained", {}),
    ],
)
def test_the_networks_equal_the_plain_ones(sizes, net, reading, how):
    config, windows_ = sizes[net], 1 if sizes is FULL else 3
    tensors = disturbed(config)
    noise = np.random.default_rng(1).standard_normal((windows_, 96, config.frames))
    spectrogram = torch.from_numpy(noise.astype(np.float32))
    with torch.inference_mode():
        found = dict(zip(config.layers, ChoiNet(tensors, config, reading)(spectrogram), strict=True))
        expected = plain(tensors, config, spectrogram, **how)
    for name, wanted in expected.items():
        assert found[name].shape == (windows_, 1, config.layers[name])
        assert wanted.std() > 0
        assert (found[name][:, 0] - wanted).abs().max() <= 2e-5 * wanted.abs().max(), name


def test_sizes_are_the_papers():
    sizes = {net: create("extractors", f"choi:net={net},weights=random") for net in NETS}
    assert sizes["crnn"].layers == {"penultimate": 32, "taggram": 50}
    assert sizes["cnn"].layers == {"penultimate": 256, "taggram": 50}
    assert sizes["compact"].layers == {"1": 32, "2": 32, "3": 32, "4": 32, "5": 32, "all": 160}
    # Multiplications by hand: those of the second convolution alone, 48 x 720 places of 64 -> 128 channels.
    assert sizes["crnn"].operations(0) > 2 * 48 * 720 * 64 * 128 * 9
    assert sizes["crnn"].operations(0) < 2 * 1.4 * 48 * 720 * 64 * 128 * 9


# -- settings, keys -------------------------------------------------------------------------------------


def test_every_setting_that_changes_numbers_changes_the_set():
    specs = ["choi", "choi:net=cnn", "choi:net=compact", "choi:reading=example", "choi:weights=random"]
    specs += ["choi:weights=random,seed=1", "choi:weights=random,net=cnn", "choi:net=cnn,reading=example"]
    assert len({set_sha256(create("extractors", spec)) for spec in specs}) == len(specs)
    assert set_sha256(create("extractors", "choi:net=crnn")) == set_sha256(create("extractors", "choi"))


def test_compact_has_one_reading():
    with pytest.raises(BenchError, match="one reading"):
        create("extractors", "choi:net=compact,reading=example")


def test_it_says_what_it_was_trained_on():
    assert create("extractors", "choi").trained_on == ("msd",)
    assert create("extractors", "choi:weights=random").trained_on == ()


def test_without_weights_it_names_files_and_origin(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    for net in NETS:
        plugin = create("extractors", f"choi:net={net}")
        assert plugin.fingerprint()["sha256"] == files.SHA256[net]
        for word in ("MIT", "github.com/keunwoochoi/music-auto_tagging-keras (a3be105)", "bench weights pull choi"):
            with pytest.raises(BenchError) as caught:
                plugin.load("cpu", "float32")
            assert word in str(caught.value)
    assert create("extractors", "choi:weights=random").unready() is None


# -- files of Keras 1 -----------------------------------------------------------------------------------


def keras_file(path, net, tensors):
    """Write tensors as Keras 1 does: a group for each layer, names with the layer's name before them."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    kinds = {"gamma": "gamma", "beta": "beta", "mean": "running_mean", "deviation": "running_std"}
    with h5py.File(path, "w") as file:

        def put(group, layer, kind, array):
            number = "_1" if net == "crnn" and not layer.startswith("gru") else ""
            file[f"{group}/{layer}_{kind}{number}:0"] = array

        file.create_group("elu_1").attrs["weight_names"] = []
        for name, tensor in tensors.items():
            array, (layer, _, kind) = tensor.numpy(), name.partition(".")
            number = layer[4:]
            if layer.startswith("gru"):
                letter = {"input.weight": "W", "state.weight": "U", "bias": "b"}[kind]
                for gate, part in zip("zrh", np.split(array, 3), strict=True):
                    put(layer, layer, f"{letter}_{gate}", part.T)
            elif layer == "output":
                put(layer, layer, "W" if kind == "weight" else "b", array.T)
            elif net == "compact" and layer.startswith("conv"):
                put("ConvBNEluDr", f"convolution2d_{number}", "W" if kind == "weight" else "b", array)
            elif net == "compact":
                put("ConvBNEluDr", f"batchnormalization_{number}", kind, array)
                put(
                    "ConvBNEluDr", f"batchnormalization_{number}", "running_mean", 0 * array
                ) if kind == "beta" else None
            elif layer.startswith("conv"):
                put(layer, layer, "W" if kind == "weight" else "b", array)
            else:
                bn = "bn_0_freq" if layer == "norm0" else f"bn{number}"
                put(bn, bn, kinds[kind], array)
        if net == "compact":
            file["melgram/Variable:0"] = np.zeros((512, 1, 1, 257), np.float32)
    return path


@pytest.mark.parametrize("net", NETS)
def test_files_of_keras_become_the_tensors(net, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FULL", TINY)
    tensors = disturbed(TINY[net])
    member = next(file for file, name in files.FILES.items() if name == net)
    found = files.convert({member: keras_file(tmp_path / member, net, tensors)})
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in tensors.items())


def test_a_file_of_another_network_or_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FULL", TINY)
    member = next(iter(files.FILES))
    path = keras_file(tmp_path / member, "cnn", disturbed(TINY["cnn"]))
    with pytest.raises(BenchError, match="gru1"):
        files.convert({member: path})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BenchError, match="HDF5"):
        files.convert({member: path})


# -- the real weights -----------------------------------------------------------------------------------

# Of the sound below, by a NumPy program in float64 that follows the source's layers and files and shares no code with
# this project: norm of the vector, and its three largest values.
ORIGINAL = {
    "net=crnn": {
        "penultimate": (3.107771, {26: 0.937404, 29: 0.930052, 18: 0.79408}),
        "taggram": (0.724321, {28: 0.565547, 4: 0.371646, 30: 0.174624}),
    },
    "net=crnn,reading=example": {
        "penultimate": (2.85094, {24: 0.898056, 1: 0.718741, 4: 0.704768}),
        "taggram": (0.295448, {0: 0.170818, 33: 0.160139, 4: 0.089546}),
    },
    "net=cnn": {
        "penultimate": (2.588665, {154: 0.585268, 228: 0.553689, 23: 0.477584}),
        "taggram": (0.336345, {28: 0.210255, 4: 0.160213, 11: 0.108017}),
    },
    "net=cnn,reading=example": {
        "penultimate": (15.817832, {147: 4.871954, 68: 4.238882, 136: 4.097116}),
        "taggram": (0.931509, {4: 0.866001, 28: 0.332732, 18: 0.072384}),
    },
    "net=compact": {
        "1": (4.657314, {18: 2.43622, 13: 1.939754, 17: 1.249904}),
        "2": (2.467133, {28: 1.156356, 0: 1.027681, 29: 1.006818}),
        "3": (3.170225, {0: 1.630597, 15: 1.375309, 25: 1.204841}),
        "4": (4.493641, {3: 2.071321, 6: 1.703721, 5: 1.585615}),
        "5": (3.002467, {27: 1.827115, 3: 1.225436, 21: 1.088776}),
    },
}


@needs_weights
@pytest.mark.parametrize("spec", ORIGINAL)
def test_the_real_networks_give_the_originals_numbers(spec):
    plugin = loaded(create("extractors", f"choi:{spec}"))
    found = vectors(plugin, clip(plugin.window.length / RATE, RATE, 3))
    for layer, (norm, largest) in ORIGINAL[spec].items():
        assert np.linalg.norm(found[layer]) == pytest.approx(norm, rel=1e-4)
        assert {i: found[layer][i] for i in largest} == pytest.approx(largest, rel=1e-4)
        assert set(np.argsort(found[layer])[-3:].tolist()) == set(largest)


@needs_weights
def test_the_stored_spread_of_padding_is_the_root_of_an_epsilon():
    # So it is a standard deviation: frames of zeros have none, and Keras 1.0.6 stored sqrt(0 + 1e-6).
    tensors = weights.load(files.CHOI, "crnn")
    assert tensors["norm0.deviation"][:36].numpy() == pytest.approx(1e-3, rel=1e-4)
