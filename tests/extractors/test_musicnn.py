"""MusiCNN: windows, mel spectrogram, network, lanes; and the real weights where they can be had."""

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as fn

from bench.audio import TrackReader
from bench.audio.windows import windows
from bench.errors import BenchError
from bench.extract import Extraction, open_set, set_sha256
from bench.extract.readers import Source
from bench.registry import create, get
from bench.testing import ExtractorContract
from bench.testing.clips import clip

RATE, HOP, FRAMES = 16_000, 256, 187
UNTRAINED = "musicnn:weights=random"
DECLARED = get("extractors", "musicnn").weights[0]


@pytest.fixture
def real(real_cache, monkeypatch):
    if real_cache is not None:
        monkeypatch.setenv("BENCH_CACHE", str(real_cache))


def loaded(spec, lane="corrected"):
    plugin = create("extractors", spec, lane=lane)
    plugin.load("cpu", "float32")
    return plugin


def cut(plugin, wave):
    return list(windows([wave], plugin.window, plugin.clip, RATE))


def vectors(plugin, wave):
    """Layer -> mean over patches, as the harness makes it."""
    found = {name: [] for name in plugin.layers}
    for window in cut(plugin, wave):
        for name, frames in plugin.frames(torch.from_numpy(window)[None]):
            found[name].append(frames[0].double().numpy())
    return {name: np.concatenate(parts).mean(0) for name, parts in found.items()}


# -- contracts ------------------------------------------------------------------------------------------


class TestUntrained(ExtractorContract):
    spec = UNTRAINED


class TestUntrainedOverlapping(ExtractorContract):
    spec = "musicnn:weights=random,patch_hop=93,tail=keep"


class TestUntrainedPublished(ExtractorContract):
    spec, lane = UNTRAINED, "published"


@pytest.mark.usefixtures("real")
class TestReal(ExtractorContract):
    spec = "musicnn"

    def test_it_is_the_real_one(self):
        assert self.note() == ""


@pytest.mark.usefixtures("real")
class TestRealTagATune(ExtractorContract):
    spec = "musicnn:weights=mtt"


# -- windows --------------------------------------------------------------------------------------------


def test_thirty_seconds_are_ten_patches():
    assert len(cut(create("extractors", UNTRAINED), np.ones(30 * RATE, np.float32))) == 10


@pytest.mark.parametrize("hop", [187, 93, 100])
def test_patches_start_where_the_originals_start(hop):
    plugin = create("extractors", f"{UNTRAINED},patch_hop={hop}")
    for samples in (47_616, 47_871, 48_000, 95_487, 95_488, 120_001, 160_000, 201_216, 333_333):
        starts = range(0, 1 + samples // HOP - FRAMES + 1, hop)
        found = cut(plugin, np.arange(1, samples + 1, dtype=np.float32))
        assert len(found) == len(starts)
        for start, window in zip(starts, found, strict=True):
            assert len(window) == 512 + (FRAMES - 1) * HOP
            assert window[256] == start * HOP + 1  # the centre of the patch's first frame


def test_tails():
    wave = np.ones(8 * RATE, np.float32)  # two patches (5.98 s), and 2 s
    assert [len(w) for w in cut(create("extractors", f"{UNTRAINED},tail=drop"), wave)] == [48_128] * 2
    kept = cut(create("extractors", f"{UNTRAINED},tail=keep"), wave)
    assert [len(w) for w in kept] == [48_128] * 2 + [8 * RATE - 2 * 187 * 256 + 512]
    assert [len(w) for w in cut(create("extractors", f"{UNTRAINED},tail=overlap"), wave)] == [48_128] * 3


# -- mel spectrogram ------------------------------------------------------------------------------------


def whole_track_mel(wave):
    """The spectrogram written down once more, in float64, over the whole track (T, 96)."""
    padded = np.pad(wave.astype(np.float64), 256)
    starts = np.arange(1 + len(wave) // HOP) * HOP
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    power = np.abs(np.fft.rfft(padded[starts[:, None] + np.arange(512)] * window)) ** 2
    mel = lambda hz: hz / (200 / 3) if hz < 1000 else 15 + np.log(hz / 1000) / (np.log(6.4) / 27)  # noqa: E731
    hertz = lambda m: m * 200 / 3 if m < 15 else 1000 * np.exp((m - 15) * np.log(6.4) / 27)  # noqa: E731
    edges = [hertz(m) for m in np.linspace(0, mel(8000), 98)]
    bins = np.arange(257) * RATE / 512
    bank = np.zeros((96, 257))
    for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        triangle = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
        bank[band] = np.maximum(triangle, 0) * 2 / (high - low)
    return np.log10(10_000 * (power @ bank.T).astype(np.float16).astype(np.float64) + 1)


def test_patches_are_the_whole_tracks_spectrogram():
    wave = clip(10.0, RATE, 3)
    plugin = loaded(f"{UNTRAINED},tail=keep")
    patches = [plugin._net.front_end(torch.from_numpy(w)[None])[0][0].numpy() for w in cut(plugin, wave)]
    expected = whole_track_mel(wave)
    assert len(expected) == 626
    assert len(patches) == 4
    gap = np.abs(np.concatenate(patches[:3]) - expected[: 3 * 187])
    assert gap.max() < 1e-3  # one step of float16 where a value lies between two
    assert gap.mean() < 1e-6


def test_few_frames_are_repeated():
    plugin = loaded(UNTRAINED)
    (window,) = cut(plugin, clip(1.0, RATE, 0))
    patch = plugin._net.front_end(torch.from_numpy(window)[None])[0][0]
    assert patch.shape == (187, 96)
    assert torch.equal(patch[63:126], patch[:63])
    assert torch.equal(patch[126:], patch[:61])


def test_the_loudest_sound_stays_finite():
    plugin = loaded(UNTRAINED)
    wave = torch.full((1, 48_128), 1e4)
    assert all(torch.isfinite(frames).all() for _, frames in plugin.frames(wave))


# -- network --------------------------------------------------------------------------------------------


def plain(tensors, patches):
    """The network as the paper draws it, nothing folded, in float64: (B, T, 96) -> layer -> (B, D)."""
    t = {name: tensor.double() for name, tensor in tensors.items()}

    def norm(x, name):  # channels on axis 1
        shape = (1, -1) + (1,) * (x.ndim - 2)
        gamma, beta, mean, variance = (t[f"{name}.{k}"].view(shape) for k in ("gamma", "beta", "mean", "variance"))
        return gamma * (x - mean) / torch.sqrt(variance + 1e-3) + beta

    def conv(x, name, before, after):
        y = fn.conv2d(fn.pad(x, (0, 0, before, after)), t[f"{name}.weight"], t[f"{name}.bias"])
        return norm(fn.relu(y), name)

    x = norm(patches.double()[:, None], "input")
    front = [conv(x, "timbral38", 3, 3), conv(x, "timbral67", 3, 3)]
    front += [conv(x, f"temporal{k}", k // 2 - 1, k // 2) for k in (128, 64, 32)]
    front = torch.cat([y.amax(dim=3) for y in front], dim=1)
    one = conv(front[..., None], "middle1", 3, 3)
    two = conv(one, "middle2", 3, 3) + one
    three = conv(two, "middle3", 3, 3) + two
    every = torch.cat([front, *(y[..., 0] for y in (one, two, three))], dim=1)
    highest, mean = every.amax(dim=2), every.mean(dim=2)
    pooled = norm(torch.stack([highest, mean], dim=2).reshape(len(patches), -1), "pool")
    dense = norm(fn.relu(fn.linear(pooled, t["dense.weight"], t["dense.bias"])), "dense")
    tags = torch.sigmoid(fn.linear(dense, t["output.weight"], t["output.bias"]))
    return {"penultimate": dense, "mean_pool": mean, "max_pool": highest, "taggram": tags}


def test_the_network_equals_the_plain_one():
    plugin = loaded(UNTRAINED)
    rng = np.random.default_rng(0)
    tensors = {}
    for name, tensor in plugin._net.tensors.items():
        noise = torch.from_numpy(rng.standard_normal(tensor.shape).astype(np.float32))
        # Norms of every kind: rising and falling (negative gamma), shifted, narrow and wide.
        change = 0 * noise if name.endswith("weight") else noise.square() if name.endswith("variance") else 0.7 * noise
        tensors[name] = tensor + change
    patches = torch.from_numpy(rng.uniform(0, 4, (2, 187, 96)).astype(np.float32))
    with torch.inference_mode():
        found = dict(zip(plugin.layers, type(plugin._net)(tensors)(patches), strict=True))
    assert (torch.stack([tensors["timbral38.gamma"], tensors["timbral67.gamma"]]) < 0).any()
    for name, wanted in plain(tensors, patches).items():
        assert found[name].shape == (2, 1, plugin.layers[name])
        assert (found[name][:, 0] - wanted).abs().max() <= 2e-5 * wanted.abs().max(), name


def test_it_has_as_many_values_as_the_checkpoint():
    plugin = loaded(UNTRAINED)
    assert sum(tensor.numel() for tensor in plugin._net.tensors.values()) == 792_079 == plugin.parameters


def test_neither_batch_nor_threads_change_a_bit():
    plugin = loaded(UNTRAINED)
    waves = torch.from_numpy(np.stack([clip(48_128 / RATE, RATE, i) for i in range(5)]))
    together = dict(plugin.frames(waves))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = loaded(UNTRAINED)
        for at in range(5):
            for name, frames in alone.frames(waves[at : at + 1]):
                assert torch.equal(frames[0], together[name][at])
    finally:
        torch.set_num_threads(threads)
    assert torch.get_num_threads() == threads


def test_random_weights_are_those_of_the_seed():
    wave = clip(4.0, RATE, 0)
    first, again, other = (vectors(loaded(f"{UNTRAINED},seed={seed}"), wave)["penultimate"] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


# -- lanes, settings, keys ------------------------------------------------------------------------------


def test_the_package_reading_hears_the_first_patch_alone():
    wave = clip(12.0, RATE, 1)
    package, fixed = (loaded(f"{UNTRAINED},reading={r}", "published") for r in ("package", "fixed"))
    first = vectors(loaded(UNTRAINED), wave[:47_872])
    assert list(package.layers) == ["penultimate"]
    assert np.array_equal(vectors(package, wave)["penultimate"], first["penultimate"])
    every = vectors(loaded(UNTRAINED), wave)
    for name, vector in vectors(fixed, wave).items():
        assert np.array_equal(vector, every[name])
    assert not np.allclose(every["penultimate"], first["penultimate"])


def test_package_is_the_published_default_and_fixed_shares_the_corrected_set():
    make = lambda spec, lane: set_sha256(create("extractors", spec, lane=lane))  # noqa: E731
    assert make("musicnn", "published") == make("musicnn:reading=package", "published")
    assert make("musicnn:reading=fixed", "published") != make("musicnn", "published")
    assert make("musicnn:patch_hop=93", "corrected") != make("musicnn", "corrected")
    assert make("musicnn:weights=mtt", "corrected") != make("musicnn", "corrected")
    assert make(UNTRAINED, "corrected") != make(f"{UNTRAINED},seed=1", "corrected")


@pytest.mark.parametrize(
    ("spec", "lane", "reason"),
    [
        ("musicnn:patch_hop=0", "corrected", "positive number of frames"),
        ("musicnn:reading=fixed", "corrected", "lane=published"),
        ("musicnn:patch_hop=93", "published", "patch_hop"),
        ("musicnn:weights=mtt", "published", "mtt"),
        ("musicnn:weights=msdd", "corrected", "Did you mean 'msd'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(spec, lane, reason):
    with pytest.raises(BenchError, match=reason):
        create("extractors", spec, lane=lane)


def test_it_says_what_it_was_trained_on():
    assert create("extractors", "musicnn").trained_on == ("msd",)
    assert create("extractors", "musicnn:weights=mtt").trained_on == ("magnatagatune",)
    assert create("extractors", UNTRAINED).trained_on == ()


def test_without_weights_fingerprint_and_contract_work_and_load_refuses_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    plugin = create("extractors", "musicnn")
    assert plugin.fingerprint()["sha256"] == DECLARED.part("msd").sha256
    for word in ("musicnn-0.1.0-py3-none-any.whl", "ISC", "PyPI", "bench weights pull musicnn"):
        assert word in plugin.unready()
        with pytest.raises(BenchError, match=word):
            plugin.load("cpu", "float32")
    assert plugin.tiny().unready() is None
    assert create("extractors", UNTRAINED).unready() is None


def test_a_short_clip_has_a_vector_and_says_so(tmp_path):
    soundfile.write(tmp_path / "short.wav", clip(1.0, RATE, 0), RATE)
    soundfile.write(tmp_path / "long.wav", clip(4.0, RATE, 0), RATE)
    work = Extraction(create("extractors", UNTRAINED), tmp_path / "cache", log=lambda _line: None)
    outcome = work([Source(name, str(tmp_path / f"{name}.wav")) for name in ("short", "long")])
    assert outcome.done == 2
    rows = open_set(work.cache, work.extractor).rows()
    assert dict(rows.select("row", "status").iter_rows()) == {"short": "short", "long": "ok"}


# -- the real weights -----------------------------------------------------------------------------------

# Computed by the package musicnn 0.1.0 under TensorFlow 2.18, librosa 0.11, NumPy 1.26 on the sound below, all
# patches in one batch (so that its error does not strike): mean over patches, as norm and three largest values.
ORIGINAL = {
    "msd": {
        "penultimate": (18.026264, {154: 3.974497, 130: 3.781302, 77: 3.640912}),
        "mean_pool": (27.577495, {344: 9.368704, 160: 8.536113, 15: 6.769964}),
        "max_pool": (294.455776, {738: 118.598488, 728: 74.096336, 695: 70.495918}),
        "taggram": (0.868414, {4: 0.694334, 28: 0.411917, 18: 0.218657}),
    },
    "mtt": {
        "penultimate": (12.080879, {93: 3.162513, 40: 3.103905, 81: 2.909479}),
        "mean_pool": (47.854388, {167: 13.538880, 74: 11.383797, 30: 9.433093}),
        "max_pool": (248.915773, {121: 66.433367, 510: 54.869110, 713: 49.036835}),
        "taggram": (0.283139, {6: 0.176636, 2: 0.129420, 3: 0.081994}),
    },
}


def sound():
    time = np.arange(7 * RATE) / RATE
    slide = 0.3 * np.sin(2 * np.pi * (220 + 40 * time) * time)
    pulse = 0.2 * np.sin(2 * np.pi * 330 * time) * (np.sin(2 * np.pi * 2 * time) > 0)
    return (slide + pulse).astype(np.float32)


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("name", ["msd", "mtt"])
def test_it_computes_what_the_original_computes(name):
    found = vectors(loaded(f"musicnn:weights={name}"), sound())
    for layer, (norm, largest) in ORIGINAL[name].items():
        scale = max(largest.values())
        assert np.linalg.norm(found[layer]) == pytest.approx(norm, rel=1e-4)
        for at, value in largest.items():
            assert found[layer][at] == pytest.approx(value, abs=1e-4 * scale), (layer, at)


@pytest.mark.usefixtures("real")
def test_a_file_gives_what_its_samples_give(tmp_path):
    soundfile.write(tmp_path / "s.wav", sound(), RATE, subtype="FLOAT")
    plugin = loaded("musicnn")
    read = np.stack(list(TrackReader(tmp_path / "s.wav", sample_rate=RATE, window=plugin.window).windows()))
    assert np.array_equal(read, np.stack(cut(plugin, sound())))
