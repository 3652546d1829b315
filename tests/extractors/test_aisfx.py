"""aiSFX: patches, mel spectrogram, network, its published file; and the real weights where they can be had."""

import io

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as fn
from torch.utils.flop_counter import FlopCounterMode

from bench.audio.windows import windows
from bench.errors import BenchError
from bench.extract import Extraction, open_set, set_sha256
from bench.extract.readers import Source
from bench.registry import create, get
from bench.testing import ExtractorContract
from bench.testing.clips import clip
from bench_extractors._aisfx_config import FULL, TINY

from .networks import TinyContract, apart, random_tensors

RATE, HOP, FRAMES = 44_100, 1024, 100
UNTRAINED = "aisfx:weights=random"
DECLARED = get("extractors", "aisfx").weights[0]


@pytest.fixture(scope="session")
def real_cache(cache_with):
    return cache_with(DECLARED)


@pytest.fixture
def real(real_cache, monkeypatch):
    if real_cache is not None:
        monkeypatch.setenv("BENCH_CACHE", str(real_cache))


def tiny():
    plugin = get("extractors", "aisfx").tiny()
    plugin.load("cpu", "float32")
    return plugin


def cut(plugin, wave):
    return list(windows([wave], plugin.window, plugin.clip, RATE))


class TestTiny(TinyContract):
    spec = "aisfx"


@pytest.mark.usefixtures("real")
class TestReal(ExtractorContract):
    spec = "aisfx"

    def test_it_is_the_real_one(self):
        assert self.note() == ""


# -- patches and spectrogram ----------------------------------------------------------------------------


@pytest.mark.parametrize("hop", [50, 100])
def test_patches_are_those_of_the_package(hop):
    """It has 1 + ceil(N / 1024) frames of N samples, and drops the incomplete last patch."""
    plugin = create("extractors", f"{UNTRAINED},patch_hop={hop}")
    for samples in (99 * HOP - 1, 98 * HOP + 1, 148 * HOP, 148 * HOP + 1, 200_000, 30 * RATE):
        frames = 1 - (-samples // HOP)
        found = cut(plugin, np.arange(1, samples + 1, dtype=np.float32))
        assert len(found) == 1 + (frames - FRAMES) // hop
        for number, window in enumerate(found):
            assert len(window) == 2048 + (FRAMES - 1) * HOP
            assert window[1024] == number * hop * HOP + 1  # the centre of the patch's first frame


def whole_track_mel(wave):
    """The spectrogram written down once more, in float64, frame by frame (T, 96)."""
    frames = 1 - (-len(wave) // HOP)
    padded = np.pad(wave.astype(np.float64), (1024, 3000))
    mel = lambda hz: 1127.01048 * np.log(1 + hz / 700)  # noqa: E731
    edges = np.linspace(0, mel(RATE / 2), 98)
    bins = mel(np.arange(1025) * RATE / 2048)
    bank = np.stack([np.interp(bins, edges[i : i + 3], [0, 1, 0]) for i in range(96)])
    bank /= bank.sum(1, keepdims=True)
    window = np.hanning(2048)
    spectra = [np.fft.rfft(padded[i * HOP : i * HOP + 2048] * window) for i in range(frames)]
    return np.log10(1e4 * np.abs(spectra) ** 2 @ bank.T + 1) / 9.457798957824707


def test_patches_are_the_whole_tracks_spectrogram():
    wave = clip(5.0, RATE, 3)
    plugin = tiny()
    patches = [plugin._net.front_end(torch.from_numpy(window)[None])[0][0].numpy() for window in cut(plugin, wave)]
    expected = whole_track_mel(wave)
    assert len(patches) == 3
    for number, patch in enumerate(patches):
        np.testing.assert_allclose(patch, expected[50 * number : 50 * number + 100], atol=1e-5)


def test_few_frames_are_filled_up_with_silence():
    plugin = tiny()
    wave = clip(1.0, RATE, 0)
    (window,) = cut(plugin, wave)
    (patch,) = plugin._net.front_end(torch.from_numpy(window)[None])[0].numpy()
    expected = whole_track_mel(wave)
    assert patch.shape == (100, 96)
    np.testing.assert_allclose(patch[: len(expected)], expected, atol=1e-5)
    assert not patch[len(expected) :].any()
    (silent,) = plugin._net.front_end(torch.zeros(1, 103_424))[0]
    assert not silent.any()


def test_a_short_clip_has_a_vector_and_says_so(tmp_path):
    soundfile.write(tmp_path / "short.wav", clip(1.0, RATE, 0), RATE)
    soundfile.write(tmp_path / "long.wav", clip(3.0, RATE, 0), RATE)
    work = Extraction(tiny(), tmp_path / "cache", log=lambda _line: None)
    assert work([Source(name, str(tmp_path / f"{name}.wav")) for name in ("short", "long")]).done == 2
    rows = open_set(work.cache, work.extractor).rows()
    assert dict(rows.select("row", "status").iter_rows()) == {"short": "short", "long": "ok"}


# -- network --------------------------------------------------------------------------------------------


def plain(tensors, patches):
    """The network as the paper has it, nothing folded or moved, in float64: (B, T, 96) -> (B, width)."""
    t = {name: tensor.double() for name, tensor in tensors.items()}
    x = patches.double()[:, None]
    for block in range(1, 5):
        for at in (1, 2):
            names = (f"conv_block{block}.bn{at}.{name}" for name in ("running_mean", "running_var", "weight", "bias"))
            x = fn.conv2d(x, t[f"conv_block{block}.conv{at}.weight"], padding=1)
            x = fn.relu(fn.batch_norm(x, *(t[name] for name in names), eps=1e-5))
        x = fn.max_pool2d(x, (2, 2) if block < 4 else (1, 1))
    return x.mean(dim=3).amax(dim=2)


@pytest.mark.parametrize("config", [TINY, FULL])
def test_the_network_equals_the_plain_one(config):
    plugin = type(tiny())(tiny().settings, config)
    tensors = random_tensors(config.tensors())
    patches = torch.from_numpy(np.random.default_rng(0).uniform(0, 0.7, (2, 100, 96)).astype(np.float32))
    with torch.inference_mode():
        (found,) = plugin.network(dict(tensors), torch.float32)(patches)
    assert found.shape == (2, 1, plugin.layers["embedding"])
    assert apart(found[:, 0].double(), plain(tensors, patches)) < 1e-5


def test_operations_are_those_that_torch_counts():
    plugin = tiny()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        list(plugin.frames(torch.zeros(1, 103_424)))
    assert plugin.operations(103_424) == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_neither_batch_nor_threads_change_a_bit():
    plugin = tiny()
    waves = torch.from_numpy(np.stack([clip(103_424 / RATE, RATE, i) for i in range(3)]))
    ((_, together),) = plugin.frames(waves)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for at in range(3):
            ((_, alone),) = plugin.frames(waves[at : at + 1])
            assert torch.equal(alone[0], together[at])
    finally:
        torch.set_num_threads(threads)


# -- settings and files ---------------------------------------------------------------------------------


def test_settings_that_cut_no_patches_are_refused():
    with pytest.raises(BenchError, match="positive number of frames"):
        create("extractors", "aisfx:patch_hop=0")


def test_settings_have_sets_of_their_own():
    specs = ("aisfx", "aisfx:patch_hop=100", "aisfx:tail=keep", UNTRAINED, f"{UNTRAINED},seed=1")
    assert len({set_sha256(create("extractors", spec)) for spec in specs}) == len(specs)


def test_it_says_what_it_was_trained_on_and_how_large_it_is():
    plugin = create("extractors", "aisfx")
    assert len(plugin.trained_on) == 9
    assert not plugin.non_commercial
    assert plugin.license == "CC BY 4.0"
    assert plugin.parameters == 4_686_144 + 2 * 1920  # trained values, and the statistics of the normalisations
    assert create("extractors", UNTRAINED).trained_on == ()


def test_the_published_file_becomes_the_networks_tensors(tmp_path):
    """It is a tuple of the state dict and the training sets, whose numbers are NumPy's."""
    state = random_tensors(FULL.tensors())
    others = {"fc.0.0.weight": torch.ones(2, 2)}
    published = {f"embedding_net.{name}": tensor for name, tensor in state.items()} | others
    published |= {
        f"embedding_net.conv_block{b}.bn{i}.num_batches_tracked": torch.tensor(3) for b in (1, 2, 3, 4) for i in (1, 2)
    }
    written = io.BytesIO()
    torch.save((published, {"library": (np.int64(3), 4)}), written, _use_new_zipfile_serialization=False)
    now, then = b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"
    assert now in written.getvalue() or then in written.getvalue()
    (tmp_path / "file").write_bytes(written.getvalue().replace(now, then))  # NumPy 1 wrote the published file
    (member,) = DECLARED.parts[0].members
    found = DECLARED.convert({member: tmp_path / "file"})
    assert found.keys() == state.keys()
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in state.items())
    torch.save({"embedding_net.conv_block1.conv1.weight": torch.ones(1)}, tmp_path / "file")
    with pytest.raises(BenchError, match="missing"):
        DECLARED.convert({member: tmp_path / "file"})


# -- the real weights -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("real")
def test_it_computes_what_the_original_computes(tmp_path):
    """The package aisfx 0.1.2 with Essentia 2.1b6.dev1389 on this sound: mean over its five patches."""
    time = np.arange(7 * RATE) / RATE
    slide = 0.3 * np.sin(2 * np.pi * (220 + 40 * time) * time)
    pulse = 0.2 * np.sin(2 * np.pi * 330 * time) * (np.sin(2 * np.pi * 2 * time) > 0)
    soundfile.write(tmp_path / "s.wav", (slide + pulse).astype(np.float32), RATE, subtype="FLOAT")
    work = Extraction(create("extractors", "aisfx"), tmp_path / "cache", log=lambda _line: None)
    assert work([Source("s", str(tmp_path / "s.wav"))]).done == 1
    ((vector,), _) = open_set(work.cache, work.extractor).read("embedding", ["s"])
    assert np.linalg.norm(vector) == pytest.approx(33.757887, rel=1e-5)
    for at, value in {433: 6.022356, 310: 5.754974, 170: 5.096240}.items():
        assert vector[at] == pytest.approx(value, rel=1e-5)
