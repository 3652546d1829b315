"""The extraction loop with tiny models: vectors, batches, failures and memory."""

import pickle

import numpy as np
import pytest
import soundfile
import torch

from bench.errors import BenchError
from bench.extract import Extraction, loop, open_set
from bench.extract.readers import Source
from bench.protocols import Extractor, NoSettings, Window
from bench.registry import create
from bench.testing import clips

RATE, FRAME, HOP = 8_000, 400, 200


class Toy(Extractor):
    """Two random projections of 50 ms frames; windows of half a second, tails of at least 50 ms."""

    name = "toy"
    license = "MIT"
    sample_rate = RATE
    layers = {"low": 4, "high": 9}  # noqa: RUF012
    window = Window(length=4_000, hop=4_000, shortest=FRAME)

    def __init__(self):
        super().__init__(NoSettings())
        self.batches = []

    def fingerprint(self):
        return {}

    def load(self, device, dtype):
        rng = np.random.default_rng(0)
        self.low = torch.from_numpy(rng.standard_normal((FRAME, 4), np.float32))
        self.high = torch.from_numpy(rng.standard_normal((FRAME, 9), np.float32))

    def frames(self, waves):
        self.batches.append(tuple(waves.shape))
        pieces = waves.unfold(-1, FRAME, HOP)
        yield "low", pieces @ self.low
        yield "high", (pieces @ self.high).abs()


SECONDS = [0.5, 1.0, 0.73, 1.9, 0.31, 0.5, 2.26, 0.06, 1.0, 0.73, 1.13, 0.5, 0.87, 3.04, 0.5, 1.51, 0.66]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads do not speed up models this small, and slow them down on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return clips.write(tmp_path_factory.mktemp("clips"), SECONDS, RATE)


def run(cache, extractor, paths, rows=None, **settings):
    """Embed files under the row keys r0, r1, ... (or `rows`); return the outcome and the set."""
    rows = rows or [f"r{i}" for i in range(len(paths))]
    work = Extraction(extractor, cache, **{"log": lambda line: None, **settings})
    outcome = work([Source(row, str(path)) for row, path in zip(rows, paths, strict=True)])
    return outcome, open_set(cache, extractor)


def vectors(filled):
    """Return the vectors of rows r0, r1, ... with all layers side by side; all must be present."""
    parts = [filled.read(name, [f"r{i}" for i in range(len(SECONDS))]) for name in filled.layers]
    assert all(present.all() for _, present in parts)
    return np.concatenate([found for found, _ in parts], axis=1)


def status(filled):
    return {row: (state, reason) for row, state, reason in filled.rows().select("row", "status", "reason").iter_rows()}


def direct(path, extractor):
    """Return the mean over the frames of all windows, computed without the harness."""
    wave = soundfile.read(path, dtype="float32")[0].astype(np.float64)
    cuts = [wave[at : at + 4_000] for at in range(0, len(wave), 4_000)]
    used = [cut for at, cut in enumerate(cuts) if len(cut) >= FRAME or at == 0]
    pieces = np.concatenate([np.lib.stride_tricks.sliding_window_view(cut, FRAME)[::HOP] for cut in used])
    low, high = extractor.low.numpy().astype(np.float64), extractor.high.numpy().astype(np.float64)
    return np.concatenate([(pieces @ low).mean(axis=0), np.abs(pieces @ high).mean(axis=0)])


@pytest.fixture(scope="module")
def reference(paths, tmp_path_factory):
    _, filled = run(tmp_path_factory.mktemp("reference"), Toy(), paths, batch=4, workers=2)
    return vectors(filled)


# -- vectors --------------------------------------------------------------------------------------------


def test_windows_of_many_lengths_give_the_mean_over_all_frames(paths, reference):
    toy = Toy()
    toy.load("cpu", "float32")
    np.testing.assert_allclose(reference, [direct(path, toy) for path in paths], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("workers", [1, 4])
def test_batch_and_workers_change_nothing(paths, reference, tmp_path, batch, workers):
    toy = Toy()
    outcome, filled = run(tmp_path, toy, paths, batch=batch, workers=workers)
    assert (outcome.done, outcome.failed) == (len(paths), [])
    np.testing.assert_allclose(vectors(filled), reference, rtol=1e-5, atol=1e-5)
    assert max(shape[0] for shape in toy.batches) <= batch


def test_order_changes_nothing(paths, reference, tmp_path):
    order = np.random.default_rng(3).permutation(len(paths))
    _, filled = run(tmp_path, Toy(), [paths[i] for i in order], rows=[f"r{i}" for i in order], batch=3)
    np.testing.assert_allclose(vectors(filled), reference, rtol=1e-5, atol=1e-5)


def test_no_window_is_padded_or_run_twice(paths, tmp_path):
    toy = Toy()
    run(tmp_path, toy, paths, batch=4)
    samples = [round(s * RATE) for s in SECONDS]
    cuts = [[min(4_000, n - at) for at in range(0, n, 4_000)] for n in samples]
    kept = sorted(c for cut in cuts for at, c in enumerate(cut) if c >= FRAME or at == 0)
    assert sorted(length for size, length in toy.batches for _ in range(size)) == kept


@pytest.mark.parametrize("samples", [6_656, 22_050, 130_559, 130_560, 131_072, 131_073, 262_144, 310_000, 393_727])
def test_mfcc_through_the_store_equals_the_whole_track(tmp_path, samples):
    """Test lengths below, at and above one window of 130,560 samples (hop 131,072)."""
    wave = clips.clip(samples / 22_050, 22_050, seed=samples)
    assert len(wave) == samples
    soundfile.write(tmp_path / "a.wav", wave, 22_050, subtype="FLOAT")
    mfcc = create("extractors", "mfcc")
    _, filled = run(tmp_path / "cache", mfcc, [tmp_path / "a.wav"], batch=2)
    got = filled.read("mfcc", ["r0"])[0][0].astype(np.float64)
    frames = whole_track_cepstrum(wave.astype(np.float64))
    assert len(frames) == 1 + samples // 512
    mean = frames.mean(axis=0)
    covariance = np.cov(frames, rowvar=False)[np.triu_indices(13)]
    for part, wanted in ((got[:13], mean), (got[13:], covariance)):
        assert np.abs(part - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert status(filled)["r0"][0] == ("short" if samples < 130_560 else "ok")


def whole_track_cepstrum(wave):
    """Return MFCC (F, 13) in float64, computed independently of the plugin."""
    padded = np.concatenate([np.zeros(1024), wave, np.zeros(1024)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2048)[::512]
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    top = 15 + 27 * np.log(11_025 / 1000) / np.log(6.4)
    edges = [m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27) for m in np.linspace(0, top, 130)]
    bins = np.arange(1025) * 22_050 / 2048
    filters = [
        np.interp(bins, edges[i : i + 3], [0, 2 / (edges[i + 2] - edges[i]), 0], left=0, right=0) for i in range(128)
    ]
    decibel = 10 * np.log10(np.maximum(power @ np.array(filters).T, 1e-10))
    cosines = np.cos(np.pi / 128 * np.outer(np.arange(13), np.arange(128) + 0.5)) * np.sqrt(2 / 128)
    cosines[0] /= np.sqrt(2)
    return decibel @ cosines.T


def test_short_tracks_have_the_status_short(paths, tmp_path):
    _, filled = run(tmp_path, Toy(), paths)
    for at, seconds in enumerate(SECONDS):
        assert status(filled)[f"r{at}"][0] == ("short" if seconds < 0.5 else "ok")
    heard = dict(filled.rows().select("row", "seconds").iter_rows())
    assert heard["r3"] == pytest.approx(1.9)


def test_a_plugin_that_pools_its_own_windows(paths, tmp_path):
    class Own(Toy):
        pooling = "own"
        layers = {"low": 4}  # noqa: RUF012

        def frames(self, waves):
            yield "low", (waves.unfold(-1, FRAME, HOP) @ self.low).mean(dim=1, keepdim=True)

    _, filled = run(tmp_path, Own(), paths[:3], batch=2)
    assert filled.read("low", ["r0", "r1", "r2"])[1].all()


# -- failures -------------------------------------------------------------------------------------------


def test_seventeen_tracks_one_corrupt_are_sixteen_and_one_named(paths, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_text("this is no sound")
    outcome, filled = run(tmp_path, Toy(), [*paths[:6], broken, *paths[7:]], batch=8)
    assert outcome.done == 16
    assert [row for row, _ in outcome.failed] == ["r6"]
    assert status(filled)["r6"] == ("failed", outcome.failed[0][1])
    assert "not audio" in outcome.failed[0][1]
    assert sum(state != "failed" for state, _ in status(filled).values()) == 16


def test_every_kind_of_broken_file_has_its_reason(paths, tmp_path):
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "brief.wav", clips.clip(0.01, RATE, 1), RATE)
    whole = paths[3].read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    names = {"gone": "missing", "empty": "empty file", "silent": "silent", "nan": "NaN", "brief": "too short",
             "cut": "truncated"}  # fmt: skip
    outcome, _ = run(tmp_path / "cache", Toy(), [tmp_path / f"{n}.wav" for n in names], rows=list(names))
    assert outcome.done == 0
    for row, reason in outcome.failed:
        assert names[row] in reason, (row, reason)
    assert len(outcome.failed) == len(names)


class Picky(Toy):
    """Fails on loud windows, in the way of `what`."""

    def __init__(self, error, limit=0.9):
        super().__init__()
        self.error, self.limit = error, limit

    def frames(self, waves):
        if bool((waves.abs().amax(dim=1) > self.limit).any()):
            raise self.error
        yield from super().frames(waves)


@pytest.fixture
def loud(paths, tmp_path):
    """Return the same clips, one of them with a loud section in its second window."""

    def make(at):
        wave = clips.clip(1.9, RATE, seed=3)
        wave[5_000] = 0.99
        soundfile.write(tmp_path / "loud.wav", wave, RATE, subtype="FLOAT")
        return [*paths[:at], tmp_path / "loud.wav", *paths[at + 1 :]]

    return make


@pytest.mark.parametrize("at", [0, 3, 16])
@pytest.mark.parametrize("batch", [1, 4, 16])
def test_a_window_the_model_fails_on_is_one_failed_track(loud, reference, tmp_path, at, batch):
    outcome, filled = run(tmp_path / "c", Picky(ValueError("too loud")), loud(at), batch=batch, workers=1)
    assert outcome.failed == [(f"r{at}", "the model failed: ValueError: too loud")]
    others = [i for i in range(17) if i != at]
    got, present = filled.read("low", [f"r{i}" for i in others])
    assert present.all()
    np.testing.assert_allclose(got, reference[others, :4], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_a_model_that_fails_on_every_window_is_a_broken_plugin(paths, tmp_path, batch):
    with pytest.raises(BenchError, match=r"toy failed on every window.*KeyError.*bench check toy"):
        run(tmp_path, Picky(KeyError("weights"), limit=0.0), paths, batch=batch)
    assert len(open_set(tmp_path, Toy()).rows()) == 0  # no track is stored as failed


def test_failures_of_a_proven_model_do_not_stop_the_run(paths, tmp_path):
    """A resumed run may have only tracks left on which the model fails."""
    soundfile.write(tmp_path / "loud.wav", 0.95 * np.sign(clips.clip(1.0, RATE, 0)), RATE)
    run(tmp_path / "c", Picky(ValueError("too loud")), paths[1:], rows=[f"r{i}" for i in range(1, 17)])
    outcome, _ = run(tmp_path / "c", Picky(ValueError("too loud")), [tmp_path / "loud.wav"])
    assert [row for row, _ in outcome.failed] == ["r0"]


def test_nan_from_the_model_is_a_failed_track(loud, tmp_path):
    class Dividing(Toy):
        def frames(self, waves):
            scale = torch.where(waves.abs().amax(dim=1) > 0.9, torch.nan, 1.0)[:, None, None]
            for name, frames in super().frames(waves):
                yield name, frames * scale

    outcome, filled = run(tmp_path / "c", Dividing(), loud(4), batch=4)
    assert [row for row, _ in outcome.failed] == ["r4"]
    assert "NaN" in outcome.failed[0][1]
    assert not filled.read("low", ["r4"])[1].any()


def test_what_half_floats_cannot_hold_is_a_failed_track(paths, tmp_path):
    class Huge(Toy):
        stored = "float16"

        def frames(self, waves):
            for name, frames in super().frames(waves):
                yield name, frames.abs() * 1e6 if waves.shape[1] < 4_000 else frames

    outcome, _ = run(tmp_path, Huge(), [paths[1], paths[4]])
    assert [row for row, _ in outcome.failed] == ["r1"]
    assert "too large for float16" in outcome.failed[0][1]


# -- memory ---------------------------------------------------------------------------------------------


class Small(Toy):
    """A device with memory for `most` samples."""

    def __init__(self, most, error=torch.OutOfMemoryError):
        super().__init__()
        self.most, self.error = most, error

    def frames(self, waves):
        if waves.numel() > self.most:
            raise self.error("CUDA out of memory")
        yield from super().frames(waves)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
@pytest.mark.parametrize("batch", [3, 16])
def test_out_of_memory_halves_the_batch_and_does_not_change_vectors(paths, reference, tmp_path, error, batch):
    said = []
    small = Small(8_000, error)
    outcome, filled = run(tmp_path, small, paths, batch=batch, log=said.append)
    assert outcome.failed == []
    np.testing.assert_allclose(vectors(filled), reference, rtol=1e-5, atol=1e-5)
    assert any("memory ran out" in line for line in said)
    plain = Toy()
    run(tmp_path / "plain", plain, paths, batch=1)
    heard = sorted(length for size, length in small.batches for _ in range(size))
    assert heard == sorted(length for _, length in plain.batches)  # each window once


def test_too_little_memory_for_one_window_is_a_listed_failure(paths, reference, tmp_path):
    outcome, filled = run(tmp_path, Small(3_000), paths, batch=8)
    failed = {row for row, _ in outcome.failed}
    assert failed == {f"r{i}" for i, s in enumerate(SECONDS) if s * RATE > 3_000}
    assert {reason for _, reason in outcome.failed} == {"out of memory with a batch of one window"}
    got, present = filled.read("high", ["r4", "r7"])
    assert present.all()
    np.testing.assert_allclose(got, reference[[4, 7], 4:], rtol=1e-5, atol=1e-5)


def test_out_of_memory_while_windows_run_one_by_one(loud, reference, tmp_path):
    """A batch fails because of one window; then memory runs out once while the windows run one by one."""

    class Unlucky(Picky):
        out = False

        def frames(self, waves):
            if len(waves) == 1 and not self.out:
                self.out = True
                raise torch.OutOfMemoryError
            yield from super().frames(waves)

    outcome, filled = run(tmp_path / "c", Unlucky(ValueError("too loud")), loud(3), batch=8, workers=1)
    assert [row for row, _ in outcome.failed] == ["r3"]
    others = [i for i in range(17) if i != 3]
    np.testing.assert_allclose(
        filled.read("low", [f"r{i}" for i in others])[0], reference[others, :4], rtol=1e-5, atol=1e-5
    )


# -- broken plugins -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda out: {**out, "low": out["low"][:, :, :3]}, r"toy: layer 'low' has shape .*expected frames"),
        (lambda out: {**out, "low": out["low"].transpose(1, 2)}, "layer 'low' has shape"),
        (lambda out: {**out, "low": out["low"].mean(dim=1)}, "The harness averages over time"),
        (lambda out: {**out, "low": out["low"][:, :0]}, "layer 'low' has shape"),
        (lambda out: {**out, "low": out["low"][:1].expand(3, -1, -1)}, "layer 'low' has shape"),
        (lambda out: {"low": out["low"]}, "toy declares layers it did not give: high"),
        (lambda out: {**out, "middle": out["low"]}, "toy gave a layer 'middle' that it does not declare"),
    ],
)
def test_frames_of_the_wrong_shape_name_the_plugin(paths, tmp_path, change, said):
    class Wrong(Toy):
        def frames(self, waves):
            yield from change(dict(super().frames(waves))).items()

    with pytest.raises(BenchError, match=said):
        run(tmp_path, Wrong(), paths, batch=2)


def test_a_layer_given_twice_is_refused(paths, tmp_path):
    class Twice(Toy):
        def frames(self, waves):
            yield from [*super().frames(waves)] * 2

    with pytest.raises(BenchError, match="toy gave the layer 'low' twice"):
        run(tmp_path, Twice(), paths[:1])


def test_own_pooling_with_many_frames_is_refused(paths, tmp_path):
    class Frames(Toy):
        pooling = "own"

    with pytest.raises(BenchError, match="pools its own windows but gave 19 frames"):
        run(tmp_path, Frames(), paths[:1])


# -- shards ---------------------------------------------------------------------------------------------


def test_shards_are_written_during_the_run(paths, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SHARD_TRACKS", 4)
    _, filled = run(tmp_path, Toy(), paths, batch=1, workers=1)
    assert len(list(filled.folder.glob("ok-*"))) >= 4
    assert sorted(filled.rows()["row"]) == sorted(f"r{i}" for i in range(17))
    assert filled.rate("cpu") > 0
    assert filled.rate("cuda") is None


@pytest.mark.parametrize("stop", [KeyboardInterrupt, BenchError])
def test_finished_tracks_are_stored_on_an_interruption(paths, reference, tmp_path, stop):
    class Stopped(Toy):
        def frames(self, waves):
            if len(self.batches) == 12:
                raise stop
            yield from super().frames(waves)

    with pytest.raises(stop):
        run(tmp_path, Stopped(), paths, batch=1, workers=1)
    filled = open_set(tmp_path, Toy())
    stored = len(filled.rows())
    assert 4 <= stored < 17
    left = filled.missing(f"r{i}" for i in range(17))
    assert len(left) == 17 - stored
    outcome, filled = run(tmp_path, Toy(), [paths[int(row[1:])] for row in left], rows=left)
    assert outcome.done == 17 - stored
    np.testing.assert_allclose(vectors(filled), reference, rtol=1e-5, atol=1e-5)


def test_progress_counts_every_track(paths, tmp_path):
    told = []
    run(tmp_path, Toy(), [*paths[:4], tmp_path / "gone.wav"], progress=lambda done, failed: told.append((done, failed)))
    assert len(told) == 5
    assert told[-1] == (4, 1)


def test_an_extraction_can_be_pickled_before_its_first_call(tmp_path):
    work = Extraction(create("extractors", "mfcc"), tmp_path, batch=3, log=lambda line: None)
    there = pickle.loads(pickle.dumps(work))
    assert there.batch == 3
    assert there.extractor.fingerprint() == work.extractor.fingerprint()
