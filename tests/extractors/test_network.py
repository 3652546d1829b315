"""The base of network extractors: precision of front end and network, threads, weights, published settings."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import torch

from bench.registry import get
from bench.testing.clips import clip
from bench.weights import Part, Weights
from bench_extractors._config import NetworkConfig
from bench_extractors._network import NetworkExtractor, check_published


@dataclass(frozen=True)
class ToySettings:
    lane: Literal["published", "corrected"] = "corrected"
    weights: str = "random"
    precision: str = "float32"
    seed: int = 0


class ToyNet:
    """One product in the front end, one more in each of two layers."""

    def __init__(self, matrix):
        self.matrix = matrix

    def front_end(self, waves):
        return (waves.view(len(waves), -1, 4) @ self.matrix,)

    def __call__(self, x):
        yield x
        yield x.float() @ self.matrix
        yield (x.float() @ self.matrix) @ self.matrix


@dataclass(frozen=True)
class ToyConfig(NetworkConfig):
    def tensors(self):
        return {"matrix": (4, 4)}

    def operations(self, samples):
        return 2 * samples * 4

    def activations(self, samples, batch, width):
        return samples * batch * width


class Toy(NetworkExtractor):
    Settings = ToySettings
    name = "toy"
    lanes = ("published", "corrected")
    layers = {"0": 4, "1": 4, "2": 4}  # noqa: RUF012
    full = small = ToyConfig()
    autocast = True

    def __init__(self, settings, config=full):
        super().__init__(settings, Weights("toy", "MIT", (), (Part("part", ()),), lambda members: {}), "part", config)

    def network(self, tensors, dtype):
        return ToyNet(tensors["matrix"])


class ThreadedToy(Toy):
    window_per_thread = True


def frames(plugin, waves):
    plugin.load("cpu", "float32")
    with torch.inference_mode():
        return dict(plugin.frames(waves))


WAVES = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 40)).astype(np.float32))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("cls", [Toy, ThreadedToy])
def test_the_front_end_runs_in_float32_and_the_network_in_the_precision_asked_for(cls, precision):
    exact, lower = frames(cls(ToySettings()), WAVES), frames(cls(ToySettings(precision=precision)), WAVES)
    assert torch.equal(lower["0"], exact["0"])
    assert [lower[name].dtype for name in "012"] == [torch.float32, *[getattr(torch, precision)] * 2]
    with torch.autocast("cpu", torch.bfloat16):  # of somebody else
        assert torch.equal(frames(cls(ToySettings()), WAVES)["2"], exact["2"])


def test_a_window_in_its_own_thread_has_the_frames_of_the_batch():
    whole, apart = frames(Toy(ToySettings()), WAVES), frames(ThreadedToy(ToySettings()), WAVES)
    assert list(whole) == list(apart) == ["0", "1", "2"]
    assert all(torch.allclose(whole[name], apart[name], rtol=1e-6) for name in whole)


@pytest.mark.parametrize("name", ["musicfm", "muq"])
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_a_loud_clip_stays_finite_in_half_precision(name, precision):
    cls = get("extractors", name)
    waves = torch.from_numpy(clip(1, 24_000, 0))[None]
    waves = waves / waves.abs().max()  # power in a spectrogram of 2048 samples reaches 512**2, more than float16 holds
    found = frames(cls(cls.Settings(weights="random", precision=precision), cls.small), waves)
    wanted = frames(cls(cls.Settings(weights="random"), cls.small), waves)
    for layer, exact in wanted.items():
        assert torch.cosine_similarity(found[layer].float().mean(1), exact.mean(1)).min() > 0.999, layer


def test_random_weights_need_no_files_and_have_a_fingerprint_of_their_own():
    plugin = Toy.tiny("published")
    assert (plugin.settings.lane, plugin.settings.weights, plugin.unready()) == ("published", "random", None)
    assert plugin.fingerprint() == {"weights": "random", "seed": 0, "precision": "float32"}
    assert plugin.weights == plugin.trained_on == ()
    assert plugin.untrained
    trained = Toy(ToySettings(weights="part"))
    assert (trained.weights[0].name, trained.untrained) == ("toy", False)
    assert plugin.operations(40) == 320


def test_the_published_lane_determines_settings():
    check_published(ToySettings(precision="float16"), "precision")
    check_published(ToySettings(lane="published", seed=3), "precision")
    with pytest.raises(ValueError, match="precision"):
        check_published(ToySettings(lane="published", precision="float16"), "precision", "weights")
