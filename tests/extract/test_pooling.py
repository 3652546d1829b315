"""The poolings of one network: values, sets in the store, and one pass over the audio for all of them."""

import numpy as np
import pytest
import torch

from bench.audio import catalog
from bench.errors import BenchError
from bench.extract import Extraction, loop, open_set, set_key
from bench.extract.pooling import Pool, start_sums, sums
from bench.extract.readers import Source
from bench.extract.set_key import frames_sha256, stored_widths
from bench.extract.transfer import Transfer
from bench.protocols import Extractor, NoSettings, Window
from bench.resolver import resolve
from bench.run.extraction_plan import ExtractionPlan
from bench.run.extraction_task import Audio
from bench.run.options import Environment
from bench.run.progress import Ui
from bench.testing import clips

RATE = 8_000
SECONDS = [1.2, 0.5, 2.26, 0.31, 3.04]
POOLINGS = ("mean", "mean_std", "max", "first")


class Toy(Extractor):
    """Frames of 50 ms (10 features, far from zero); windows of half a second."""

    name = "toy"
    license = "MIT"
    sample_rate = RATE
    layers = {"raw": 10, "square": 10}  # noqa: RUF012
    window = Window(length=4_000, hop=4_000, shortest=400)
    forwards: list[int]

    def __init__(self):
        super().__init__(NoSettings())
        self.forwards = []

    def fingerprint(self):
        return {}

    def load(self, device, dtype):
        pass

    def frames(self, waves):
        self.forwards.append(len(waves))
        pieces = waves.unfold(-1, 400, 400)[:, :, :10]
        yield "raw", pieces + 100
        yield "square", pieces**2


def windows(paths, at):
    """Return the windows of a clip, cut without the harness."""
    import soundfile

    wave = soundfile.read(paths[at], dtype="float32")[0]
    return [wave[start : start + 4_000] for start in range(0, len(wave), 4_000) if len(wave) - start >= 400]


def frames(paths, at, layer):
    """Return the frames of each window of a clip, in float64."""
    found = []
    for window in windows(paths, at):
        named = dict(Toy().frames(torch.from_numpy(window)[None]))
        found.append(named[layer][0].numpy().astype(np.float64))
    return found


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return clips.write(tmp_path_factory.mktemp("clips"), SECONDS, RATE)


def embed(cache, extractors, paths, batch=3):
    work = Extraction(extractors[0], cache, also=extractors[1:], batch=batch, log=lambda line: None)
    outcome = work([Source(f"r{at}", str(path)) for at, path in enumerate(paths)])
    assert not outcome.failed
    return outcome


def read(cache, extractor, layer="raw"):
    found, present = open_set(cache, extractor).read(layer, [f"r{at}" for at in range(len(SECONDS))])
    assert present.all()
    return found


# -- values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["raw", "square"])
def test_each_pooling_has_the_value_of_its_definition(tmp_path, paths, layer):
    toy = Toy()
    every = [toy, *(toy.pooled(pooling) for pooling in POOLINGS[1:])]
    embed(tmp_path, every, paths)
    mean, mean_std, most, first = (read(tmp_path, one, layer) for one in every)
    for at in range(len(paths)):
        parts = frames(paths, at, layer)
        together = np.concatenate(parts)
        np.testing.assert_allclose(mean[at], together.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(mean_std[at], np.r_[together.mean(axis=0), together.std(axis=0)], rtol=1e-6)
        assert np.array_equal(most[at], together.max(axis=0).astype(np.float32))  # exact
        np.testing.assert_allclose(first[at], parts[0].mean(axis=0), rtol=1e-6)


def test_the_deviation_of_frames_far_from_zero_keeps_its_digits():
    """E[x²] - E[x]² of these frames has no correct digit in float64."""

    class Far(Toy):
        layers = {"raw": 1}  # noqa: RUF012

        def frames(self, waves):
            yield "raw", waves.to(torch.float64)[:, :, None] + 1e9

    plugin, pool = Far().pooled("mean_std"), Pool()
    rng = np.random.default_rng(0)
    waves = [rng.standard_normal((1, n)).astype(np.float32) + shift for n, shift in ((50, 0), (300, 2), (7, -1))]
    for wave in waves:
        pool.add(sums(plugin, torch.from_numpy(wave)), 0)
    expected = np.concatenate([wave[0] for wave in waves]).astype(np.float64).std()
    (found,) = pool.vectors("mean_std").values()
    np.testing.assert_allclose(found[1], expected, rtol=1e-6)


def test_the_parts_in_which_deviations_are_computed_change_nothing(monkeypatch):
    plugin, transfer = Toy().pooled("mean_std"), Transfer("cpu")
    waves = torch.from_numpy(np.random.default_rng(1).standard_normal((5, 4_000)).astype(np.float32))
    whole = start_sums(plugin, waves, transfer)()
    monkeypatch.setattr("bench.extract.pooling.PART", 1)
    for name, (_, _, found) in start_sums(plugin, waves, transfer)().items():
        assert np.array_equal(found["squares"], whole[name][2]["squares"])


def test_a_maximum_of_nan_fails_the_track(tmp_path, paths):
    class Broken(Toy):
        def frames(self, waves):
            for name, found in super().frames(waves):
                yield name, found * (torch.nan if waves.shape[1] < 4_000 else 1)

    work = Extraction(Broken().pooled("max"), tmp_path, log=lambda line: None)
    outcome = work([Source("whole", str(paths[1])), Source("tail", str(paths[0]))])
    assert [row for row, _ in outcome.failed] == ["tail"]


# -- the store ------------------------------------------------------------------------------------------


def test_a_pooling_changes_the_key_of_the_set_and_nothing_else():
    toy = Toy()
    assert set_key(toy)["pooling"] == "mean"
    for pooling in POOLINGS[1:]:
        other = toy.pooled(pooling)
        assert set_key(other) == {**set_key(toy), "pooling": pooling}
        assert frames_sha256(other) == frames_sha256(toy)
    assert stored_widths(toy.pooled("mean_std")) == {"raw": 20, "square": 20}
    assert stored_widths(toy.pooled("max")) == stored_widths(toy.pooled("first")) == dict(toy.layers)


def test_the_means_of_a_common_pass_have_the_bytes_of_a_pass_of_their_own(tmp_path, paths):
    toy = Toy()
    embed(tmp_path / "alone", [toy], paths)
    embed(tmp_path / "together", [toy.pooled("max"), toy, toy.pooled("mean_std")], paths)
    for layer in toy.layers:
        assert np.array_equal(read(tmp_path / "alone", toy, layer), read(tmp_path / "together", toy, layer))


# -- one pass -------------------------------------------------------------------------------------------


def test_several_poolings_cost_the_forward_passes_of_one(tmp_path, paths):
    alone, together, first = Toy(), Toy(), Toy().pooled("first")
    embed(tmp_path / "a", [alone], paths)
    embed(tmp_path / "b", [together, *(together.pooled(pooling) for pooling in POOLINGS[1:])], paths)
    embed(tmp_path / "c", [first], paths)
    assert sum(alone.forwards) == sum(together.forwards) == sum(len(windows(paths, at)) for at in range(len(paths)))
    assert sum(first.forwards) == len(paths)


def test_a_plan_fills_the_poolings_of_one_network_in_one_pass_and_only_what_each_lacks(tmp_path, monkeypatch):
    (tmp_path / "music").mkdir()
    clips.write(tmp_path / "music", SECONDS, RATE)
    audio = Audio.of(catalog.read(tmp_path / "music").rows, tmp_path)
    environment, lines = Environment(tmp_path), []
    toy = Toy()
    rows = sorted(set(audio.row_of.values()))

    def fill(*plugins):
        toy.forwards.clear()
        plan = ExtractionPlan(plugins, audio, environment)
        lines[:] = plan.plan("cpu")
        toy.forwards.clear()  # without the trial that measures the speed
        plan.fill(lambda: "cpu", Ui(log=lambda line: None))
        assert not ExtractionPlan(plugins, audio, environment).lacking
        return sum(toy.forwards)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "SHARD_TRACKS", 2)
        once = fill(toy)
    stored = {path: path.read_bytes() for path in open_set(tmp_path, toy).folder.iterdir()}
    assert fill(toy, toy.pooled("max"), toy.pooled("mean_std")) == once
    assert len(lines) == 1
    assert "mean, max, mean_std" in lines[0]
    assert {path: path.read_bytes() for path in open_set(tmp_path, toy).folder.iterdir()} == stored
    for pooling in ("max", "mean_std"):
        have = open_set(tmp_path, toy.pooled(pooling)).rows()
        assert sorted(have["row"]) == rows
    assert fill(toy, toy.pooled("max")) == 0


# -- specs ----------------------------------------------------------------------------------------------


def test_a_spec_names_a_pooling_of_any_extractor():
    plugin = resolve("mfcc:pooling=max").components[0].plugin
    assert (plugin.pooling, stored_widths(plugin)) == ("max", {"mfcc": 13})
    assert stored_widths(resolve("mfcc").components[0].plugin) == {"mfcc": 104}
    assert resolve("mfcc:pooling=mean_cov").components[0].plugin.pooling == "mean_cov"
    assert set_key(resolve("mfcc:pooling=mean_cov").components[0].plugin) == set_key(
        resolve("mfcc").components[0].plugin
    )
    assert resolve("shuffled:of=(mfcc:pooling=first)").audio[0].pooling == "first"


@pytest.mark.parametrize(
    "spec",
    ["mfcc:pooling=own", "musicnn:weights=random,pooling=mean_cov", "random:pooling=max", "mfcc:pooling=median"],
)
def test_a_pooling_that_makes_no_sense_is_refused(spec):
    with pytest.raises(BenchError, match="pooling"):
        resolve(spec)


def test_what_a_model_pools_itself_and_whole_tracks_have_fewer_poolings():
    class Own(Toy):
        pooling = "own"

    class Whole(Toy):
        window = Window(length=None)

    assert list(Own().poolings) == ["own", "first"]
    assert list(Own().pooled("first").poolings) == ["own", "first"]
    assert list(Whole().poolings) == ["mean", "mean_std", "max"]
