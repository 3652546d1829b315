import numpy as np
import pytest
import soundfile
import torch

from bench.audio.windows import windows
from bench.errors import BenchError
from bench.extract import Extraction, open_set
from bench.extract.pooling import Pool, sums
from bench.extract.readers import Source
from bench.protocols import Clip
from bench.registry import create
from bench.testing import ExtractorContract
from bench_extractors.mfcc import FLOOR, MFCC, MFCCSettings

RATE = 22_050


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products: threads would only wait for each other where the tests run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class TestContract(ExtractorContract):
    spec = "mfcc"


# -- a slow reference, one number at a time where it can be ----------------------------------------------------


def hz_to_mel(f):
    return f * 3 / 200 if f < 1000 else 15 + 27 * np.log(f / 1000) / np.log(6.4)


def mel_to_hz(m):
    return m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27)


def triangle(f, low, middle, high):
    height = 2 / (high - low)  # so that its area is 1 Hz
    if low < f <= middle:
        return height * (f - low) / (middle - low)
    return height * (high - f) / (high - middle) if middle < f < high else 0.0


def reference(x, n_mfcc=13, n_mels=128, n_fft=2048, hop=512, rate=RATE):
    """Frames (F, n_mfcc) in float64 of a whole signal, centred, zeros beyond its ends."""
    x = np.concatenate([np.zeros(n_fft // 2), x.astype(np.float64), np.zeros(n_fft // 2)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    top = hz_to_mel(rate / 2)
    edges = [mel_to_hz(i * top / (n_mels + 1)) for i in range(n_mels + 2)]
    filters = np.array(
        [[triangle(b * rate / n_fft, *edges[m : m + 3]) for b in range(n_fft // 2 + 1)] for m in range(n_mels)]
    )
    frames = []
    for start in range(0, len(x) - n_fft + 1, hop):
        power = np.abs(np.fft.fft(x[start : start + n_fft] * hann)[: n_fft // 2 + 1]) ** 2
        decibel = 10 * np.log10(np.maximum(filters @ power, 1e-10))
        cepstrum = [
            sum(decibel[m] * np.cos(np.pi * k * (m + 0.5) / n_mels) for m in range(n_mels)) for k in range(n_mfcc)
        ]
        frames.append(np.array(cepstrum) * np.where(np.arange(n_mfcc) == 0, 1 / n_mels, 2 / n_mels) ** 0.5)
    return np.array(frames)


def statistics(frames):
    """Mean, then the upper triangle of the sample covariance, row by row."""
    n, d = frames.shape
    mean = [sum(frames[:, i]) / n for i in range(d)]
    covariance = [
        sum((frames[:, i] - mean[i]) * (frames[:, j] - mean[j])) / (n - 1) for i in range(d) for j in range(i, d)
    ]
    return np.array(mean + covariance)


def sound(n, seed=0):
    """Chords that change, with a pause of exact silence in the middle, and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / RATE
    x = sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (110, 523.25, 3000)) * (1 + np.sin(5 * t)) / 8
    x = x + 0.01 * rng.standard_normal(n)
    x[n // 3 : n // 2] = 0
    return x.astype(np.float32)


def loaded(**settings):
    model = MFCC(MFCCSettings(**settings))
    model.load("cpu", "float32")
    return model


def cut(model, x, sizes=(1000, 37)):
    """The windows of a signal that arrives in blocks, as the harness cuts them."""
    blocks = np.split(x, np.cumsum(np.resize(sizes, 2 * len(x) // sum(sizes))))
    return list(windows(blocks, model.window, Clip(), model.sample_rate))


def frames_of(model, wave):
    ((name, frames),) = model.frames(torch.from_numpy(wave)[None])
    assert name == "mfcc"
    return frames[0].numpy()


@pytest.fixture(scope="module")
def long():
    """A track of two windows and a piece, and its frames."""
    x = sound(2 * 256 * 512 + 12_345)
    return x, reference(x)


# -- numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"n_mfcc": 20, "n_mels": 40, "n_fft": 512, "hop": 300}, {"n_mfcc": 1}])
def test_frames_equal_the_reference(settings):
    x, model = sound(40_000), loaded(**settings)
    found = np.concatenate([frames_of(model, wave) for wave in cut(model, x)])
    expected = reference(x, **settings)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3)  # of decibels, times the square root of n_mels


def test_frames_of_several_windows_are_those_of_the_whole_track(long):
    """No seam: the frames next to a cut see real audio on both sides."""
    (x, expected), model = long, loaded()
    pieces = [frames_of(model, wave) for wave in cut(model, x)]
    assert [len(p) for p in pieces] == [256, 256, 25]
    np.testing.assert_allclose(np.concatenate(pieces), expected, atol=2e-3)


def test_a_track_becomes_104_values_mean_first(long, tmp_path):
    x, frames = long
    soundfile.write(tmp_path / "a.wav", x, RATE, subtype="FLOAT")
    model = create("extractors", "mfcc")
    Extraction(model, tmp_path, log=lambda _: None)([Source("a", str(tmp_path / "a.wav"))])
    (found,), present = open_set(tmp_path, model).read("mfcc", ["a"])
    assert present.all()
    assert found.shape == (104,)
    expected = statistics(frames)
    np.testing.assert_allclose(found[:13], expected[:13], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found[13:], expected[13:], rtol=1e-4, atol=0.01)


def test_statistics_of_windows_are_those_of_all_frames():
    x, model = sound(300_000), loaded()
    pool = Pool()
    for wave in cut(model, x):
        pool.add(sums(model, torch.from_numpy(wave)[None]), 0)
    found = pool.vectors("mean_cov")["mfcc"]
    frames = np.concatenate([frames_of(model, wave) for wave in cut(model, x)]).astype(np.float64)
    np.testing.assert_allclose(found, statistics(frames), rtol=1e-9, atol=1e-7)
    covariance = np.zeros((13, 13))
    covariance[np.triu_indices(13)] = found[13:]
    covariance = np.triu(covariance) + np.triu(covariance, 1).T
    assert np.linalg.eigvalsh(covariance).min() > 0  # full rank


def test_silence_lies_at_the_floor():
    model = loaded()
    frames = frames_of(model, np.zeros(4096, np.float32))
    assert FLOOR == 1e-10
    np.testing.assert_allclose(frames[:, 0], -100 * 128**0.5, rtol=1e-5)  # -100 dB in 128 bands
    np.testing.assert_allclose(frames[:, 1:], 0, atol=1e-3)
    faint = frames_of(model, np.full(4096, 1e-9, np.float32))
    np.testing.assert_allclose(faint, frames, atol=1e-3)


def test_louder_moves_the_first_coefficient_alone():
    """No ceiling and no level in common: ten times the amplitude is 20 dB in each band of each frame."""
    x, model = sound(20_000, seed=3)[: 20_000 // 3], loaded()
    quiet, loud = frames_of(model, x), frames_of(model, 10 * x)
    np.testing.assert_allclose(loud[:, 0] - quiet[:, 0], 20 * 128**0.5, rtol=1e-5)
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=2e-3)


# -- windows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_fft", "hop"), [(16, 4), (16, 16), (32, 5), (18, 40)])
def test_every_length_has_the_frames_of_the_whole_track(n_fft, hop):
    """1 + floor(n / hop), each once and in its place, for all lengths around one, two and three windows."""
    model = loaded(n_mfcc=2, n_mels=3, n_fft=n_fft, hop=hop)
    shortest, around = model.window.shortest, [i * 256 * hop + j for i in (1, 2, 3) for j in range(-2 * hop, 2 * hop)]
    for n in [*range(shortest, shortest + 3 * hop), *around]:
        x = np.arange(1, n + 1, dtype=np.float32)
        pieces = [torch.from_numpy(wave).unfold(0, n_fft, hop) for wave in cut(model, x)]
        padded = np.pad(x, n_fft // 2)
        whole = torch.from_numpy(padded).unfold(0, n_fft, hop)
        assert len(whole) == 1 + n // hop
        assert torch.equal(torch.cat(pieces), whole), n


@pytest.mark.parametrize(
    "n", [6_656, 6_657, 7_168, 130_560, 130_561, 131_071, 131_072, 131_073, 261_632, 262_144, 661_500]
)
def test_the_default_windows_give_the_frames_of_the_whole_track(n):
    model = MFCC(MFCCSettings())
    found = sum(1 + (len(wave) - 2048) // 512 for wave in cut(model, np.ones(n, np.float32), (65_536,)))
    assert found == 1 + n // 512


def test_the_shortest_clip_has_a_covariance_of_full_rank_and_a_shorter_one_fails(tmp_path):
    for name, n in (("shortest", 13 * 512), ("shorter", 13 * 512 - 1)):
        soundfile.write(tmp_path / f"{name}.wav", sound(n), RATE, subtype="FLOAT")
    sources = [Source(name, str(tmp_path / f"{name}.wav")) for name in ("shortest", "shorter")]
    model = create("extractors", "mfcc")
    outcome = Extraction(model, tmp_path, log=lambda _: None)(sources)
    assert outcome.failed == [("shorter", "too short: 0.302 s, the model needs 0.302 s (6655 of 6656 samples)")]
    assert open_set(tmp_path, model).read("mfcc", ["shortest"])[1].all()


# -- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("mfcc:n_mfcc=0", "n_mfcc must lie between 1 and n_mels=128, got 0"),
        ("mfcc:n_mfcc=200", "n_mfcc must lie between 1 and n_mels=128, got 200"),
        ("mfcc:n_fft=255", "n_fft must be even"),
        ("mfcc:hop=0", "hop positive; got 2048 and 0"),
        ("mfcc:n_mfc=13", "Did you mean 'n_mfcc'"),
    ],
)
def test_settings_without_a_cepstrum_are_refused(spec, said):
    with pytest.raises(BenchError, match=said):
        create("extractors", spec)


def test_every_setting_is_in_the_fingerprint():
    specs = ["mfcc", "mfcc:n_mfcc=20", "mfcc:n_mels=64", "mfcc:n_fft=1024", "mfcc:hop=256"]
    assert len({str(create("extractors", spec).fingerprint()) for spec in specs}) == len(specs)
