"""CREPE: frames, network, published files; and the real weights where they can be had."""

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
from bench_extractors._crepe_config import SIZES, SMALL

from .networks import TinyContract, apart, random_tensors

RATE, FRAME = 16_000, 1024
UNTRAINED = "crepe:weights=random"
DECLARED = {one.name: one for one in get("extractors", "crepe").weights}


@pytest.fixture(scope="session")
def real_cache(cache_with):
    return cache_with(DECLARED["crepe-tiny"])


@pytest.fixture
def real(real_cache, monkeypatch):
    if real_cache is not None:
        monkeypatch.setenv("BENCH_CACHE", str(real_cache))


def loaded(spec):
    plugin = create("extractors", spec)
    plugin.load("cpu", "float32")
    return plugin


class TestTiny(TinyContract):
    spec = "crepe"


@pytest.mark.usefixtures("real")
class TestReal(ExtractorContract):
    spec = "crepe"

    def test_it_is_the_real_one(self):
        assert self.note() == ""


# -- frames ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hop", [160, 1024])
@pytest.mark.parametrize("samples", [1024, 16_000, 48 * 1024, 48 * 1024 + 1, 100_000])
def test_frames_are_those_of_the_package(hop, samples):
    """It fills both ends up with 512 zeros, and scales every frame."""
    plugin = loaded(f"{UNTRAINED},hop={hop}")
    wave = clip(samples / RATE, RATE, 0)[:samples]
    padded = torch.from_numpy(np.pad(wave, (512, 512)))
    wanted = torch.stack([padded[at : at + FRAME] for at in range(0, len(padded) - FRAME + 1, hop)])
    wanted = (wanted - wanted.mean(1, keepdim=True)) / wanted.std(1, keepdim=True)
    cut = windows([wave], plugin.window, plugin.clip, RATE)
    found = torch.cat([plugin._net.front_end(torch.from_numpy(window)[None])[0][0] for window in cut])
    assert found.shape == wanted.shape == (1 + samples // hop, FRAME)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_silence_and_one_value_are_finite():
    plugin = loaded(UNTRAINED)
    for value in (0.0, 0.5):
        for _, frames in plugin.frames(torch.full((1, 4 * FRAME), value)):
            assert torch.isfinite(frames).all()


# -- network --------------------------------------------------------------------------------------------


def plain(tensors, frames):
    """The published network, nothing folded or turned, in float64: frames (F, 1024) -> hidden, pitch."""
    t = {name: tensor.double() for name, tensor in tensors.items()}
    x = frames.double()[:, None, :, None]
    for number in range(1, 7):
        x = fn.pad(x, (0, 0, 254, 254) if number == 1 else (0, 0, 31, 32))
        x = fn.conv2d(x, t[f"conv{number}.weight"], t[f"conv{number}.bias"], stride=(4 if number == 1 else 1, 1))
        names = (f"conv{number}_BN.{name}" for name in ("running_mean", "running_var", "weight", "bias"))
        x = fn.max_pool2d(fn.batch_norm(fn.relu(x), *(t[name] for name in names), eps=0.001), (2, 1))
    hidden = x.permute(0, 2, 1, 3).reshape(len(x), -1)
    return hidden, torch.sigmoid(hidden @ t["classifier.weight"].T + t["classifier.bias"])


@pytest.mark.parametrize("config", [SMALL, SIZES["tiny"]])
def test_the_network_equals_the_plain_one(config):
    made = get("extractors", "crepe").tiny()
    plugin = type(made)(made.settings, config)
    tensors = random_tensors(config.tensors())
    tensors["conv2_BN.weight"] *= -1  # the maximum of a falling value
    net = plugin.network(dict(tensors), torch.float32)
    waves = torch.from_numpy(np.stack([clip(0.3, RATE, seed)[: 4 * FRAME] for seed in (0, 1)]))
    with torch.inference_mode():
        (frames,) = net.front_end(waves)
        found = list(net(frames))
    for values, wanted in zip(found, plain(tensors, frames.flatten(0, 1)), strict=True):
        assert values.shape[:2] == (2, 4)
        assert apart(values.flatten(0, 1).double(), wanted) < 1e-5


def test_operations_are_those_that_torch_counts():
    plugin = loaded(UNTRAINED)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        list(plugin.frames(torch.zeros(1, 5 * FRAME)))
    assert plugin.operations(5 * FRAME) == pytest.approx(counter.get_total_flops(), rel=0.01)


# -- settings and files ---------------------------------------------------------------------------------


def test_settings_have_sets_of_their_own():
    specs = (UNTRAINED, f"{UNTRAINED},hop=160", f"{UNTRAINED},size=full", f"{UNTRAINED},seed=1", "crepe")
    assert len({set_sha256(create("extractors", spec)) for spec in specs}) == len(specs)
    with pytest.raises(BenchError, match="positive number of samples"):
        create("extractors", "crepe:hop=0")


@pytest.mark.parametrize(("size", "width", "parameters"), [("tiny", 256, 487_096), ("full", 2048, 22_244_328)])
def test_it_says_how_large_it_is_and_may_be_sold(size, width, parameters):
    plugin = create("extractors", f"crepe:size={size}")
    assert plugin.layers == {"hidden": width, "pitch": 360}
    assert plugin.parameters == parameters  # the statistics of the normalisations among them
    assert (plugin.license, plugin.non_commercial) == ("MIT", False)
    assert [one.name for one in plugin.weights] == [f"crepe-{size}"]


def test_the_published_file_becomes_the_networks_tensors(tmp_path):
    state = random_tensors(SIZES["tiny"].tensors())
    counters = {f"conv{number}_BN.num_batches_tracked": torch.tensor(3) for number in range(1, 7)}
    torch.save(state | counters, tmp_path / "file")
    (member,) = DECLARED["crepe-tiny"].parts[0].members
    found = DECLARED["crepe-tiny"].convert({member: tmp_path / "file"})
    assert found.keys() == state.keys()
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in state.items())
    with pytest.raises(BenchError, match="of another shape"):
        DECLARED["crepe-full"].convert({member: tmp_path / "file"})


# -- the real weights -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("real")
def test_it_hears_the_pitch_of_a_tone(tmp_path):
    hertz = 440.0
    time = np.arange(2 * RATE) / RATE
    soundfile.write(
        tmp_path / "a.wav", (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32), RATE, subtype="FLOAT"
    )
    work = Extraction(create("extractors", "crepe"), tmp_path / "cache", log=lambda _line: None)
    assert work([Source("a", str(tmp_path / "a.wav"))]).done == 1
    ((pitch,), _) = open_set(work.cache, work.extractor).read("pitch", ["a"])
    ((hidden,), _) = open_set(work.cache, work.extractor).read("hidden", ["a"])
    # The package's bins lie at 10 Hz * 2 ** ((1997.379 + 20 * bin) / 1200).
    assert abs(1997.379 + 20 * pitch.argmax() - 1200 * np.log2(hertz / 10)) < 20
    # torchcrepe 0.0.24 on the same samples, a frame every 64 ms
    assert (pitch.argmax(), pitch.max()) == (228, pytest.approx(0.918597, rel=1e-5))
    assert np.linalg.norm(hidden) == pytest.approx(1.683597, rel=1e-5)
    assert hidden[[126, 12]] == pytest.approx([0.3012, 0.2888], abs=1e-4)
