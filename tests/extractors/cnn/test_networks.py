"""The front end against NumPy in double precision; sizes, unit length and training of the networks."""

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.registry import create
from bench_extractors._mel import mel_filters
from bench_extractors.cnn.front_end import LogMel
from bench_extractors.cnn.networks import ARCHITECTURES, activations, build, count


def waves(n=3, seed=0):
    """Noise, a tone, and noise that swells from silence."""
    rng = np.random.default_rng(seed)
    out = 0.1 * rng.standard_normal((n, 48_000))
    out[1] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 16_000)
    out[2] *= np.linspace(0, 1, 48_000) ** 4
    return out.astype(np.float32)


def triangles():
    """Mel filters (64, 257), written band by band."""

    def mel(hz):
        return 2595 * np.log10(1 + hz / 700)

    centres = 700 * (10 ** (np.linspace(mel(125), mel(7500), 66) / 2595) - 1)
    bins = np.arange(257) * 16_000 / 512
    return np.stack([np.interp(bins, centres[i : i + 3], [0, 1, 0]) for i in range(64)])


def reference(wave):
    padded = np.pad(wave.astype(np.float64), 120)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([padded[160 * k : 160 * k + 400] * hann for k in range(300)])
    return np.log(np.abs(np.fft.rfft(frames, 512)) @ triangles().T + 0.01)


def test_filters_are_triangles():
    np.testing.assert_allclose(mel_filters(16_000, 512, 64, 125, 7500, scale="htk"), triangles(), atol=1e-12)


def test_front_end_equals_the_definition():
    heard = waves()
    got = LogMel()(torch.from_numpy(heard)).numpy()
    assert got.dtype == np.float32
    # Empty bands of the pure tone hold what float32 leaves of an FFT whose largest value is 50.
    np.testing.assert_allclose(got, np.stack([reference(wave) for wave in heard]), atol=3e-4)


def test_front_end_stays_in_float32_under_autocast():
    front, heard = LogMel(), torch.from_numpy(waves())
    with torch.autocast("cpu", torch.bfloat16):
        lower = front(heard)
    assert torch.equal(lower, front(heard))


def test_front_end_refuses_other_lengths():
    with pytest.raises(ValueError, match="47999"):
        LogMel()(torch.zeros(1, 47_999))


@pytest.mark.parametrize(
    ("arch", "parameters", "multiplies"),
    [
        ("resnet18", 11_235_008, 695_803_904),
        ("mobilenet", 664_877, 46_761_152),
        ("small", 552_022, 22_208_340),
        ("small4", 463_866, 22_306_240),
    ],
)
def test_sizes(arch, parameters, multiplies):
    assert count(build(arch)) == (parameters, multiplies)


def test_unknown_network():
    with pytest.raises(BenchError, match="mobilenet"):
        build("mobilnet")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_forward_and_backward_at_full_size(arch):
    torch.manual_seed(0)
    network, heard = build(arch), LogMel()(torch.from_numpy(waves(4)))
    vectors = network(heard)
    assert vectors.shape == (4, 128)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    (vectors[0] - vectors[1]).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert any(p.grad.abs().max() > 0 for p in network.parameters() if p.ndim == 4)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_it_overfits_eight_clips(arch):
    torch.manual_seed(0)
    heard = LogMel()(0.1 * torch.randn(8, 48_000))  # noise: nothing but the clips themselves tells them apart
    truth = torch.randperm(8)
    model = torch.nn.Sequential(build(arch), torch.nn.Linear(128, 8))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(10 * model(heard), truth).backward()
        optimizer.step()
    assert (model(heard).argmax(1) == truth).all()


def test_memory_is_computed_from_shapes_and_once(monkeypatch):
    plugin = create("extractors", "cnn:arch=resnet18,weights=random")
    activations.cache_clear()
    monkeypatch.setattr(type(plugin), "network", None)  # no network with weights is built
    assert plugin.memory(2) - plugin.memory(1) == plugin.memory(1) - plugin.memory(0) > 0
    assert activations.cache_info().misses == 1
