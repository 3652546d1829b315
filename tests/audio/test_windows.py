import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.audio import TrackReader
from bench.audio import windows as module
from bench.audio.normalize import normalized, statistics
from bench.audio.windows import clipped, windows
from bench.errors import TrackError
from bench.protocols import Clip, Window

RATE = 10


def pieces(samples, sizes):
    """Cut `samples` into blocks; the sizes cycle through `sizes`."""
    at, turn = 0, 0
    while at < len(samples):
        size = sizes[turn % len(sizes)]
        yield samples[at : at + size]
        at, turn = at + size, turn + 1


def brute(x, window, clip):
    """Return the windows of a complete array, or None if the clip is too short."""
    if clip.seconds is not None:
        n = round(clip.seconds * RATE)
        x = x[:n]
        if clip.pad and len(x):
            x = np.pad(x, (0, n - len(x)))
    n = len(x)
    if n < max(1, window.shortest):
        return None
    length = window.length or n

    def cut(start, stop):
        padded = np.pad(x, (window.left, window.right))
        return padded[start : stop + window.left + window.right]

    if window.length is None or n < length:
        return [cut(0, n)]
    starts = [s for s in range(0, n + 1, window.hop) if s + length <= n]
    found = [cut(s, s + length) for s in starts]
    heard = np.zeros(n, bool)
    for s in starts:
        heard[s : s + length] = True
    start = starts[-1] + window.hop
    unheard = int((~heard[start:]).sum()) if start <= n else 0
    least = window.shortest_tail
    if window.tail == "keep" and start <= n:
        enough = n - start >= (max(1, window.shortest) if least is None else least)
        if enough and (unheard or start == n):
            tail = cut(start, n)
            found += [tail] if len(tail) else []
    if window.tail == "overlap" and unheard >= max(1, least or 1):
        found.append(cut(n - length, n))
    return found


@settings(max_examples=400, deadline=None)
@given(
    n=st.integers(0, 120),
    window=st.builds(
        Window,
        length=st.one_of(st.none(), st.integers(1, 40)),
        hop=st.integers(1, 50),
        left=st.integers(0, 20),
        right=st.integers(0, 20),
        tail=st.sampled_from(["keep", "drop", "overlap"]),
        shortest=st.integers(0, 15),
        shortest_tail=st.one_of(st.none(), st.integers(0, 15)),
    ),
    clip=st.builds(Clip, seconds=st.one_of(st.none(), st.floats(0.1, 12.0, allow_nan=False)), pad=st.booleans()),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5),
)
def test_windows_equal_those_of_the_complete_array(n, window, clip, sizes):
    x = np.arange(1, n + 1, dtype=np.float32)
    expected = brute(x, window, clip)
    if expected is None:
        with pytest.raises(TrackError, match="too short"):
            list(windows(pieces(x, sizes), window, clip, RATE))
        return
    found = list(windows(pieces(x, sizes), window, clip, RATE))
    assert [w.tolist() for w in found] == [w.tolist() for w in expected]
    assert all(w.dtype == np.float32 and w.base is None for w in found)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_frames_of_all_windows_equal_those_of_the_complete_track(data):
    import torch

    hop = data.draw(st.integers(4, 40), "frame hop")
    size = 2 * data.draw(st.integers(2, 40), "n_fft / 2")
    frames = data.draw(st.integers(2, 12), "K")
    whole_hops = data.draw(st.integers(1, 60), "hops")
    n = max(1, whole_hops * hop + data.draw(st.sampled_from([0, 0, 0, 1, -1, hop // 2]), "rest"))
    x = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    window = Window(length=(frames - 1) * hop, hop=frames * hop, left=size // 2, right=size // 2, shortest_tail=0)
    taper = torch.hann_window(size)

    def spectra(wave, center):
        how = {"n_fft": size, "hop_length": hop, "window": taper, "return_complex": True}
        return torch.stft(torch.from_numpy(wave), center=center, pad_mode="constant", **how).numpy()

    whole = spectra(x, True)
    parts = [spectra(w, False) for w in windows(pieces(x, [7, 100, 13]), window, Clip(), RATE)]
    assert all(p.shape[1] == frames for p in parts[:-1])
    joined = np.concatenate(parts, axis=1)
    assert joined.shape == whole.shape == (size // 2 + 1, n // hop + 1)
    assert np.abs(joined - whole).max() <= 1e-5 * max(1.0, np.abs(whole).max())


def test_too_short_names_both_lengths():
    with pytest.raises(TrackError, match=r"^too short: 0.3 s, the model needs 1 s"):
        list(windows([np.ones(3, np.float32)], Window(20, 20, shortest=10), Clip(), RATE))


def test_memory_holds_a_window_not_the_track():
    import tracemalloc

    def blocks():
        for _ in range(2000):
            yield np.ones(10_000, np.float32)

    for tail in ("keep", "overlap"):
        window = Window(50_000, 30_000, left=5_000, right=5_000, tail=tail)
        tracemalloc.start()
        count = sum(1 for _ in windows(blocks(), window, Clip(), RATE))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count > 660
        assert peak < 1_500_000


def test_clipped_lets_the_stream_end():
    ended = []

    def blocks():
        yield np.ones(5, np.float32)
        yield np.ones(5, np.float32)
        ended.append(True)

    assert sum(len(b) for b in clipped(blocks(), Clip(1.0), RATE)) == 10
    assert ended


def test_statistics_and_levels():
    rng = np.random.default_rng(0)
    x = (1000 + rng.standard_normal(10_001)).astype(np.float32)
    wide = x.astype(np.float64)
    for sizes in ([1], [10_001], [64, 1, 999]):
        known = statistics(pieces(x, sizes))
        assert known == pytest.approx((wide.mean(), wide.std(), np.abs(wide).max()), rel=1e-12)
        z = np.concatenate(list(normalized(pieces(x, sizes), "zscore", known)))
        assert np.allclose(z, (wide - wide.mean()) / np.sqrt(wide.var() + 1e-7), atol=1e-6)
        peak = np.concatenate(list(normalized(pieces(-x, sizes), "peak", statistics([-x]))))
        assert peak.min() == -1
        assert peak.dtype == z.dtype == np.float32
    assert statistics([]) == (0.0, 0.0, 0.0)
    assert np.array_equal(np.concatenate(list(normalized([x], "none", statistics([])))), x)


# TrackReader


@pytest.fixture
def track(tmp_path):
    """Write five seconds at 16 kHz, which decode exactly."""
    samples = (0.1 + 0.2 * np.random.default_rng(1).standard_normal(80_000)).astype(np.float32)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    return path, samples


def test_reader_cuts_a_track(track):
    path, samples = track
    reader = TrackReader(path, sample_rate=16000, window=Window(32_000, 32_000), clip=Clip())
    found = list(reader.windows())
    assert [len(w) for w in found] == [32_000, 32_000, 16_000]
    assert np.array_equal(np.concatenate(found), samples)
    assert (reader.seconds, reader.short) == (5.0, False)
    assert [len(w) for w in reader] == [32_000, 32_000, 16_000]


def test_reader_reports_what_was_heard(track):
    path, samples = track
    how = {"sample_rate": 16000, "window": Window(48_000, 48_000, left=10, right=10)}
    part = TrackReader(path, **how, offset=1.0, duration=2.0)
    (wave,) = part.windows()
    assert np.array_equal(wave[10:-10], samples[16_000:48_000])
    assert not wave[:10].any()
    assert (part.seconds, part.short) == (2.0, True)
    padded = TrackReader(path, **how, clip=Clip(6.0, pad=True))
    waves = list(padded.windows())
    assert [len(w) for w in waves] == [48_020, 48_020]
    assert not waves[1][10 + 32_000 :].any()
    assert (padded.seconds, padded.short) == (5.0, False)
    whole = TrackReader(path, sample_rate=16000, window=Window(None), clip=Clip(1.5))
    assert [len(w) for w in whole] == [24_000]
    assert (whole.seconds, whole.short) == (1.5, False)


@pytest.mark.parametrize("kept", [600.0, 0.5])
@pytest.mark.parametrize("kind", ["zscore", "peak"])
def test_reader_normalizes_the_clip_before_padding(track, monkeypatch, kind, kept):
    monkeypatch.setattr(module, "BUFFERED_SECONDS", kept)  # the clip fits in memory, or is decoded twice
    path, samples = track
    clip = Clip(6.0, pad=True)
    reader = TrackReader(path, sample_rate=16000, window=Window(None), clip=clip, normalize=kind)
    (wave,) = reader.windows()
    wide = samples.astype(np.float64)
    level = np.sqrt(wide.var() + 1e-7) if kind == "zscore" else np.abs(wide).max()
    assert np.allclose(wave[:80_000], (wide - wide.mean() * (kind == "zscore")) / level, atol=1e-6)
    assert len(wave) == 96_000
    assert not wave[80_000:].any()
    assert reader.seconds == 5.0


def test_reader_reasons(tmp_path):
    path = tmp_path / "a.wav"
    zeros = np.zeros(32_000)
    for normalize in ("none", "zscore"):
        for clip in (Clip(), Clip(1.0), Clip(5.0, pad=True)):
            soundfile.write(path, zeros, 16000)
            how = {"sample_rate": 16000, "window": Window(8000, 8000), "clip": clip, "normalize": normalize}
            with pytest.raises(TrackError, match=r"^silent$"):
                list(TrackReader(path, **how))
            sound = zeros.copy()
            sound[12_000] = 0.5
            soundfile.write(path, sound, 16000)
            assert len(list(TrackReader(path, **how))) == {None: 4, 1.0: 2, 5.0: 10}[clip.seconds]
    soundfile.write(path, sound[:12_100], 16000)
    reader = TrackReader(path, sample_rate=16000, window=Window(8000, 8000, shortest=16_000))
    with pytest.raises(TrackError, match=r"too short: 0.756 s, the model needs 1 s"):
        list(reader)
    with pytest.raises(TrackError, match="missing"):
        list(TrackReader(tmp_path / "no.wav", sample_rate=16000, window=Window(None)))
