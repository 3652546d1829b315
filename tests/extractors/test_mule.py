"""MULE: windows, spectrogram, network against the plain one, its published file."""

import json
import math
import zipfile
from itertools import chain

import h5py
import numpy as np
import pytest
import torch
from torch.nn import functional as fn
from torch.utils.flop_counter import FlopCounterMode

from bench.audio.windows import windows
from bench.errors import BenchError
from bench.registry import create, get
from bench.testing.clips import clip
from bench_extractors import _mule_weights as files
from bench_extractors._mule_config import FULL, TINY
from bench_extractors._mule_sizes import DEPTHS

from .networks import TinyContract, apart, built, random_tensors, states

RATE = 16_000


class TestMULE(TinyContract):
    spec = "mule"


def test_it_says_how_large_it_is_and_who_may_use_it():
    mule = get("extractors", "mule")
    assert sum(map(math.prod, FULL.tensors().values())) == mule.parameters
    assert mule.weights[0].non_commercial
    assert create("extractors", "mule").layers["embedding"] == 1728


# -- windows and spectrogram --------------------------------------------------------------------------------


def plain_mel(wave):
    """The log-mel spectrogram of a whole track, in float64 (96, T)."""
    around = np.pad(wave.astype(np.float64), 1024, mode="reflect")
    window = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400), 824)
    starts = np.arange(len(wave) // 160 + 1) * 160
    power = np.abs(np.fft.rfft(around[starts[:, None] + np.arange(2048)] * window)) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8_000 / 700), 98) / 2595) - 1)
    bins = np.arange(1025) * RATE / 2048
    bank = np.array([
        np.maximum(np.minimum((bins - a) / (b - a), (c - bins) / (c - b)), 0)
        for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)
    ])  # fmt: skip
    return np.log10(10_000 * (bank / np.linalg.norm(bank, axis=1, keepdims=True)) @ power.T + 1)


@pytest.mark.parametrize("seconds", [3.4, 3.5, 6.0, 6.2, 9.0, 30.0])
def test_windows_are_those_of_upstream(seconds):
    """Frames around the multiples of 200; the last one is moved back to the end of the track."""
    wave = clip(seconds, RATE, 0)
    whole = plain_mel(wave)
    centres = [min(centre, whole.shape[1] - 150) for centre in range(200, whole.shape[1], 200)]
    mule = get("extractors", "mule").tiny()
    mule.load("cpu", "float32")
    found = list(windows([wave], mule.window, mule.clip, RATE))
    assert len(found) == len(centres)
    for at, (centre, given) in enumerate(zip(centres, found, strict=True)):
        wanted = whole[:, centre - 150 : centre + 150]
        wanted = (wanted - wanted.mean()) / wanted.std()
        (own,) = mule._net.front_end(torch.from_numpy(given)[None])
        inner = slice(0, 300 if at < len(found) - 1 else 297)  # beyond its end a track is silent here, mirrored there
        if len(wave) % 160 == 0:
            assert np.abs(own[0, 0].numpy() - wanted)[:, inner].max() < (1e-3 if at < len(found) - 1 else 0.1)


def test_a_quiet_window_is_not_amplified_without_limit():
    net, _ = built(TINY.module)
    (mel,) = net.front_end(torch.zeros(1, 56_040))
    assert mel.shape == (1, 1, 96, 300)
    assert mel.abs().max() == 0


# -- network ------------------------------------------------------------------------------------------------


def plain(tensors, mel):
    """The network as its paper draws it, nothing folded, in float64: both pathways' means after each stage."""
    tensors = {name: tensor.double() for name, tensor in tensors.items()}

    def conv(x, name, stride=(1, 1)):
        weight = tensors[f"{name}.weight"]
        fan = weight[0].numel()
        spread, mean = torch.var_mean(weight, (1, 2, 3), correction=0, keepdim=True)
        scale = tensors[f"{name}.gain"].view(-1, 1, 1, 1) / (spread * fan).clamp(min=1e-4).sqrt()
        sides = []
        for size, taps, step in zip(x.shape[2:], weight.shape[2:], stride, strict=True):
            total = max((math.ceil(size / step) - 1) * step + taps - size, 0)
            sides = [total // 2, total - total // 2, *sides]
        groups = x.shape[1] // weight.shape[1]
        return fn.conv2d(fn.pad(x, sides), (weight - mean) * scale, tensors[f"{name}.bias"], stride, groups=groups)

    def act(x):
        return 1.7015043497085571 * fn.gelu(x)

    def stem(x, name, stride):
        for at, step in enumerate(((2, stride), (1, 1), (1, 1), (2, 2))):
            x = conv(act(x) if at else x, f"{name}.stem.{at}", step)
        return x

    def block(x, name, down, beta, *, first):
        y = beta * act(x)
        residual = conv(y, f"{name}.convs.0")
        for at, step in ((1, (down, 1)), (2, (1, 1)), (3, (1, 1))):
            residual = conv(act(residual), f"{name}.convs.{at}", step)
        squeezed = fn.linear(residual.mean((2, 3)), tensors[f"{name}.squeeze.weight"], tensors[f"{name}.squeeze.bias"])
        excited = fn.linear(squeezed.relu(), tensors[f"{name}.excite.weight"], tensors[f"{name}.excite.bias"]).sigmoid()
        residual = 0.2 * tensors[f"{name}.gain"] * (2 * excited[..., None, None] * residual)
        return residual + (conv(fn.avg_pool2d(y, (down, 1)), f"{name}.skip") if first else x)

    x = mel.double()
    paths, means = {"slow": stem(x, "slow", 8), "fast": stem(x, "fast", 2)}, []
    for stage, depth in enumerate(DEPTHS):
        fused = conv(conv(paths["fast"], f"fusions.{stage}.0", (1, 4)), f"fusions.{stage}.1")
        paths["slow"] = torch.cat([paths["slow"], fused], 1)
        for name in paths:
            variance = 1.04 if stage else 1.0
            for at in range(depth):
                down = 2 if stage and not at else 1
                where = f"{name}.stages.{stage}.{at}"
                paths[name] = block(paths[name], where, down, variance**-0.5, first=not at)
                variance += 0.04
        means.append(torch.cat([x.mean((2, 3)) for x in paths.values()], 1)[:, None])
    return [*means[:-1], act(means[-1])]


@pytest.mark.parametrize("frames", [300, 131, 51])
def test_the_network_equals_the_plain_one(frames):
    net, tensors = built(TINY.module)
    mel = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 1, 96, frames)).astype(np.float32))
    with torch.inference_mode():
        for found, wanted in zip(net(mel), plain(tensors, mel), strict=True):
            assert apart(found, wanted.float()) < 1e-5


def test_layers_have_the_declared_widths():
    net, _ = built(TINY.module)
    with torch.inference_mode():
        found = states(net, torch.from_numpy(clip(3.5, RATE, 0))[None])
    assert [x.shape for x in found] == [(1, 1, width) for width in TINY.layers.values()]


def test_operations_are_those_that_torch_counts():
    net, _ = built(TINY.module)
    for module in net.modules():  # torch does not count oneDNN's own operators
        if getattr(module, "linear", None) is not None and module.linear._packed is not None:
            module.linear = Unpacked(module.linear)
    mel = torch.zeros(1, 1, 96, 300)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        list(net(mel))
    counted = counter.get_total_flops() + 2 * 300 * 1025 * 96
    assert TINY.operations(56_040) == counted


class Unpacked:
    """A linear map of the same size that torch counts."""

    def __init__(self, linear):
        self.outputs = len(linear.bias)

    def __call__(self, x):
        return fn.linear(x, torch.ones(self.outputs, x.shape[-1]))


# -- published file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [FULL, TINY])
def test_the_pathways_have_no_shape_in_common(config):
    """That is what tells a convolution or linear map of one pathway from those of the other."""
    owners = {}
    for name, shape in config.tensors().items():
        if name.endswith(".weight"):
            owners.setdefault(shape, []).append(name)
    mixed = [names for names in owners.values() if len({name.split(".")[0] for name in names}) > 1]
    # The stem comes before all stages.
    assert all(names[0].startswith("slow.stem") and all("stages" in name for name in names[1:]) for names in mixed)


def keras_file(path, tensors, *, without=()):
    """Write a model as Keras 2.13 does, with the blocks of both pathways in turn, and say which gain is whose."""
    layers, arrays, counts = [], {}, {}

    def add(kind, group, inbound, config, *stored):
        number = counts[group] = counts.get(group, -2) + 2  # Keras counts a layer with arrays twice
        name = f"{group}_{100 - len(layers)}"
        layers.append({"class_name": kind, "name": name, "config": config, "inbound_nodes": [[[inbound, 0, 0, {}]]]})
        at = f"_layer_checkpoint_dependencies/{group}{f'_{number}' if number else ''}"
        arrays.update({f"{at}/{where}": np.asarray(array) for where, array in stored})
        return name

    def conv(name, inbound):
        weight = tensors[f"{name}.weight"].numpy().transpose(2, 3, 1, 0)
        stored = ("layer/vars/0", tensors[f"{name}.bias"]), ("vars/0", weight), ("vars/1", tensors[f"{name}.gain"])
        return add("WeightStandardization", "weight_standardization", inbound, {"layer": {}}, *stored)

    def block(name, inbound):
        for at in range(4):
            inbound = conv(f"{name}.convs.{at}", inbound)
        convolved = inbound
        for kind in ("squeeze", "excite"):
            stored = ("vars/0", tensors[f"{name}.{kind}.weight"].T), ("vars/1", tensors[f"{name}.{kind}.bias"])
            inbound = add("Dense", "dense", inbound, {}, *stored)
        layers.append({"class_name": "TFOpLambda", "name": f"times_{name}", "config": {"function": "multiply"},
                       "inbound_nodes": [[inbound, 0, 0, {"y": [convolved, 0, 0], "name": None}]]})  # fmt: skip
        yield add(
            "ScalarMultiply",
            "scalar_multiply",
            f"times_{name}",
            {"learnable": True},
            ("vars/0", tensors[f"{name}.gain"]),
        )
        if f"{name}.skip.weight" in tensors:
            conv(f"{name}.skip", convolved)
        yield None

    for name in [f"{path}.stem.{at}" for at in range(4) for path in ("slow", "fast")]:
        conv(name, "input")
    for stage, depth in enumerate(DEPTHS):
        for at in (0, 1):
            conv(f"fusions.{stage}.{at}", "input")
        for at in range(depth):
            # The gains of the two pathways change places from stage to stage, as they do in the real graph.
            order = ("slow", "fast") if stage % 2 else ("fast", "slow")
            list(chain(*(block(f"{path}.stages.{stage}.{at}", "input") for path in order)))
    layers.append(
        {"class_name": "ScalarMultiply", "name": "constant", "config": {"learnable": False}, "inbound_nodes": []}
    )
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        for name, array in arrays.items():
            file[name] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": layers[: len(layers) - len(without)]}}))
        archive.write(path.with_suffix(".h5"), "model.weights.h5")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file as upstream wrote it, of the tiny size, and the tensors in it."""
    monkeypatch.setattr(files, "FULL", TINY)
    tensors = random_tensors(TINY.tensors())
    keras_file(tmp_path / "model.keras", tensors)
    return tmp_path / "model.keras", tensors


def test_the_published_file_becomes_the_networks_tensors(published):
    path, tensors = published
    found = files.convert({"model.keras": path})
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in tensors.items())


@pytest.mark.parametrize("fault", ["no zip", "another network", "no factors"])
def test_another_file_is_refused(published, fault):
    path, tensors = published
    match fault:
        case "no zip":
            path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        case "another network":
            tensors["slow.stem.0.bias"] = torch.zeros(3)
            keras_file(path, tensors)
        case "no factors":
            with h5py.File(path.with_suffix(".h5"), "a") as file:
                group = file["_layer_checkpoint_dependencies"]
                for name in [name for name in group if name.startswith("scalar")]:
                    del group[name]
            with zipfile.ZipFile(path) as archive:
                graph = archive.read("config.json")
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("config.json", graph)
                archive.write(path.with_suffix(".h5"), "model.weights.h5")
    with pytest.raises(BenchError, match=path.name):
        files.convert({"model.keras": path})


def test_without_weights_it_says_what_brings_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    with pytest.raises(BenchError, match="bench weights pull mule"):
        create("extractors", "mule").prepare()
