"""For every rule of the contract, a plugin that breaks it must fail exactly the checks of that rule."""

import time
from dataclasses import replace

import pytest
import torch

from bench.errors import BenchError
from bench.protocols import Clip, Extractor, Window
from bench.testing import ExtractorContract

RATE, N_FFT, HOP, BANDS = 8_000, 256, 128, 8


class Bands(Extractor):
    """A valid extractor: logarithmic energies of eight bands, windows of one second."""

    name = "bands"
    license = "MIT"
    sample_rate = RATE
    layers = {"bands": BANDS}  # noqa: RUF012
    window = Window(length=RATE, hop=RATE, shortest=N_FFT, shortest_tail=N_FFT)

    def fingerprint(self):
        return {"n_fft": N_FFT}

    def load(self, device, dtype):
        generator = torch.Generator().manual_seed(0)
        self.matrix = torch.rand(N_FFT // 2 + 1, BANDS, generator=generator)

    def features(self, waves):
        spectrum = torch.fft.rfft(waves.unfold(-1, N_FFT, HOP) * torch.hann_window(N_FFT)).abs()
        return torch.log1p(spectrum @ self.matrix)

    def frames(self, waves):
        yield "bands", self.features(waves)


class OwnPooling(Bands):
    pooling = "own"

    def frames(self, waves):
        yield "bands", self.features(waves).mean(1, keepdim=True)


class WholeTracks(Bands):
    window = Window(length=None, shortest=N_FFT)


class Context(Bands):
    window = Window(length=63 * HOP, hop=64 * HOP, left=N_FFT // 2, right=N_FFT // 2, shortest=N_FFT, shortest_tail=0)


class Overlapping(Bands):
    window = Window(length=RATE, hop=RATE // 2, shortest=N_FFT, shortest_tail=N_FFT)


class Padded(Bands):
    clip = Clip(seconds=1.0, pad=True)
    window = Window(length=RATE, hop=RATE, shortest=RATE)


@pytest.mark.parametrize("plugin", [Bands, OwnPooling, WholeTracks, Context, Overlapping, Padded])
def test_a_valid_extractor_passes(broken, plugin):
    assert broken(ExtractorContract, plugin) == {}


class Transposed(Bands):
    def frames(self, waves):
        yield "bands", self.features(waves).transpose(1, 2)


class AveragesFeatures(Bands):
    def frames(self, waves):
        yield "bands", self.features(waves).mean(2, keepdim=True)


class AveragesItself(Bands):
    def frames(self, waves):
        yield "bands", self.features(waves).mean(1)


class WidthOfOneSecond(WholeTracks):
    """Frames and features are swapped; the declared width is the number of frames in one second."""

    layers = {"bands": 1 + (RATE - N_FFT) // HOP}  # noqa: RUF012

    def frames(self, waves):
        yield "bands", self.features(waves).transpose(1, 2)


class SqueezesOne(Bands):
    def frames(self, waves):
        yield "bands", self.features(waves).squeeze(0)


class OtherLayer(Bands):
    def frames(self, waves):
        yield "band", self.features(waves)


class FewerLayers(Bands):
    layers = {"bands": BANDS, "more": BANDS}  # noqa: RUF012


class ManyFramesOfItsOwn(Bands):
    pooling = "own"


class NormalisesTheBatch(Bands):
    def features(self, waves):
        found = super().features(waves)
        return found - found.mean(0)


class BatchPosition(Bands):
    """Adds the position in the batch to the features."""

    def features(self, waves):
        return super().features(waves) + torch.arange(len(waves))[:, None, None]


class Counts(Bands):
    """Carries state from batch to batch."""

    calls = 0

    def features(self, waves):
        self.calls += 1
        return super().features(waves) * (1 + 0.001 * self.calls)


class GlobalNoise(Bands):
    def features(self, waves):
        found = super().features(waves)
        return found + 0.01 * torch.randn(found.shape)


class UnseededWeights(Bands):
    def load(self, device, dtype):
        self.matrix = torch.rand(N_FFT // 2 + 1, BANDS)


class LastDigits(Bands):
    """Lives on the last digits of single samples, which differ between two files of one sound.

    A large constant stands beside them, as in many embeddings, whose cosines are all near 1.
    """

    def features(self, waves):
        return 10 + torch.sin(1e7 * waves.unfold(-1, N_FFT, HOP)[..., :BANDS])


class StampsItself(Bands):
    def __init__(self, settings):
        super().__init__(settings)
        self.born = time.time_ns()

    def fingerprint(self):
        return {"born": self.born}


class LoadsToKnowItself(Bands):
    def fingerprint(self):
        self.load("cpu", "float32")
        return {"sum": float(self.matrix.sum())}


class KnowsItselfAfterwards(Bands):
    def fingerprint(self):
        return {"sum": float(self.matrix.sum()) if hasattr(self, "matrix") else None}


class Deaf(Bands):
    def features(self, waves):
        return super().features(waves) * 0 + 1


class SometimesNaN(Bands):
    """Three of the seventeen clips, and none of the first eight, have a peak in this range."""

    def features(self, waves):
        peak = waves.abs().amax(1)[:, None, None]
        return torch.where((peak > 0.405) & (peak < 0.43), torch.nan, super().features(waves))


class NeedsMoreThanItSays(Bands):
    window = Window(length=RATE, hop=RATE, shortest=1, shortest_tail=N_FFT)


class CannotTakeItsTail(Bands):
    window = Window(length=RATE, hop=RATE, shortest=N_FFT, shortest_tail=1)


class TailWithoutContext(Context):
    window = replace(Context.window, left=0, right=0)


class Unlicensed(Bands):
    license = ""


class ExemptFromNothingKnown(Bands):
    exempt = frozenset({"rates"})


EVERY = {name.removeprefix("test_") for name in dir(ExtractorContract) if name.startswith("test_")}
SOUNDING = EVERY - {"it_declares_what_it_is"}
COMPANY, ORDER = "vectors_do_not_depend_on_the_batch", "order_of_tracks_does_not_matter"
WIDTH, AGAIN, EACH = "width_does_not_depend_on_duration", "it_is_deterministic", "every_track_is_accounted_for"
RATES, SAYS = "another_rate_is_resampled", "it_declares_what_it_is"
SHORTEST = "the_shortest_clip_and_tail_have_vectors"


@pytest.mark.parametrize(
    ("plugin", "where", "said"),
    [
        (Transposed, SOUNDING, "shape (3, 8, 61); expected frames (batch 3, time, 8)"),
        (AveragesFeatures, SOUNDING, "The harness averages over time"),
        (AveragesItself, SOUNDING, "expected frames"),
        (OtherLayer, SOUNDING, "'band' that it does not declare"),
        (FewerLayers, SOUNDING, "declares layers it did not give: more"),
        (ManyFramesOfItsOwn, SOUNDING, "pools its own windows but gave"),
        (Counts, {COMPANY, ORDER}, "two orders of the tracks differ by"),
        (GlobalNoise, {COMPANY, ORDER, AGAIN}, "two runs differ by"),
        (UnseededWeights, {AGAIN}, "two runs differ by"),
        (LastDigits, {RATES}, "two rates of one sound"),
        (StampsItself, {SAYS}, "the fingerprint differs between two instances"),
        (LoadsToKnowItself, {SAYS}, "the fingerprint loads the model"),
        (KnowsItselfAfterwards, {AGAIN}, "the fingerprint changes when the model is loaded"),
        (Deaf, {WIDTH}, "six different clips have equal vectors"),
        (SometimesNaN, {EACH}, "13 vectors from 16"),
        (NeedsMoreThanItSays, {SHORTEST}, "the model failed: RuntimeError"),
        (CannotTakeItsTail, {SHORTEST}, "the model failed"),
        (TailWithoutContext, {SHORTEST}, "the model failed"),
        (Unlicensed, {SAYS}, "no licence"),
        (ExemptFromNothingKnown, {SAYS}, "{'rates'}"),
    ],
)  # fmt: skip
def test_a_broken_extractor_fails_the_right_checks(broken, plugin, where, said):
    found = broken(ExtractorContract, plugin)
    assert set(found) == set(where), found
    assert any(said in message for message in found.values()), found


@pytest.mark.parametrize(
    ("plugin", "where", "said"),
    [
        (WidthOfOneSecond, WIDTH, "expected frames"),
        (NormalisesTheBatch, COMPANY, "batch 8 and batch 1 differ by"),
        (BatchPosition, COMPANY, "batch 8 and batch 1 differ by"),
        (BatchPosition, ORDER, "two orders of the tracks differ by"),
        (SqueezesOne, COMPANY, "expected frames"),
    ],
)
def test_a_fault_that_depends_on_order_fails_at_least_one_check(broken, plugin, where, said):
    """Whether other checks also fail depends on the lengths of the clips and the order of decoding."""
    found = broken(ExtractorContract, plugin)
    assert said in found[where]


def test_a_contract_can_set_a_longer_minimum_than_the_plugin(broken):
    found = broken(ExtractorContract, Bands, shortest=0.5)
    assert list(found) == ["too_short_is_a_named_failure"]
    assert "the long clip" in found["too_short_is_a_named_failure"] or "short" in found["too_short_is_a_named_failure"]


def test_an_exempt_check_is_excluded(broken):
    class Exempt(LastDigits):
        exempt = frozenset({"rate"})

    class OneSecond(Deaf):
        exempt = frozenset({"width"})

    assert broken(ExtractorContract, Exempt) == {}
    assert broken(ExtractorContract, OneSecond) == {}


def test_the_declared_tolerance_is_used_unless_the_contract_sets_one(broken):
    class Rough(UnseededWeights):
        tolerance = 0.9

    assert broken(ExtractorContract, Rough) == {}
    assert set(broken(ExtractorContract, Rough, tolerance=1e-4)) == {AGAIN}


HEAVY = """
from dataclasses import dataclass
import torch
from bench.protocols import Extractor, Window

@dataclass(frozen=True)
class HeavySettings:
    width: int = 512
    weights: str | None = None

class Heavy(Extractor):
    Settings = HeavySettings
    name = "heavy"
    license = "MIT"
    sample_rate = 8000
    window = Window(length=8000, hop=8000, shortest=256, shortest_tail=256)

    def __init__(self, settings):
        super().__init__(settings)
        self.layers = {"units": settings.width}

    def fingerprint(self):
        return {"width": self.settings.width, "weights": self.settings.weights}

    def unready(self):
        return None if self.settings.weights == "random" else "heavy.safetensors is absent; bench weights pull heavy"

    TINY

    def load(self, device, dtype):
        if self.settings.weights is None:
            raise FileNotFoundError("heavy.safetensors")
        shape = (256, self.settings.width)
        self.map = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)

    def frames(self, waves):
        yield "units", torch.relu(waves.unfold(-1, 256, 128) @ self.map)
"""
TINY = """
    @classmethod
    def tiny(cls, lane="corrected"):
        return cls(HeavySettings(width=4, weights="random"))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package of one module and one entry point into a folder, and say that it is there."""
    from bench import registry

    def install(module, source):
        (tmp_path / f"{module}.py").write_text(source)
        about = tmp_path / f"{module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[bench.extractors]\nheavy = {module}:Heavy\n")
        registry._points.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    monkeypatch.undo()
    registry._points.cache_clear()


def test_without_weights_a_tiny_model_is_checked_and_the_note_says_so(installed, capsys):
    from bench.cli import main

    installed("heavy_with_tiny", HEAVY.replace("TINY", TINY))
    contract = type("Check", (ExtractorContract,), {"spec": "heavy"})()
    assert contract.make().layers == {"units": 4}
    assert contract.note() == "tiny random configuration: heavy.safetensors is absent; bench weights pull heavy"
    assert main(["check", "heavy"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("extractor heavy (tiny random configuration: heavy.safetensors is absent")
    assert "9 passed, 0 failed" in said

    ready = type("Check", (ExtractorContract,), {"spec": "heavy:weights=random,width=8"})()
    assert ready.make().layers == {"units": 8}
    assert ready.note() == ""


def test_without_weights_and_tiny_the_check_is_refused(installed):
    installed("heavy_without_tiny", HEAVY.replace("TINY", ""))
    contract = type("Check", (ExtractorContract,), {"spec": "heavy"})()
    with pytest.raises(BenchError, match=r"heavy cannot be checked: heavy\.safetensors is absent.*no tiny"):
        contract.make()
