"""Basic Pitch's network in torch (Bittner et al., ICASSP 2022, arXiv:2203.09893), and its constant-Q transform."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as fn

from ._basic_pitch_config import BINS, HARMONICS, HOP, KERNELS, KEYS, NORMS, PER_KEY, RATE, SAMPLES, SIDE

EPSILON = 1e-3
"""Epsilon of every batch normalisation: Keras's default."""
LOWEST = 27.5
"""Frequency of the lowest bin in Hz: the lowest key of a piano."""
OCTAVE = 12 * PER_KEY
TAPS = 256
"""Samples of a filter of the highest octave, and of the low-pass filter before every halving of the rate."""


class BasicPitchNet:
    """Waves with 3840 samples of context on both sides to the posteriors of contours, notes and onsets.

    Parameters
    ----------
    tensors : as `Config.tensors` lists them, on the device to use

    """

    def __init__(self, tensors: Mapping[str, torch.Tensor]):
        self.tensors = dict(tensors)
        for name in NORMS.keys() - {"input"}:  # folded into the convolution before it
            scale, shift = self._norm(name)
            self.tensors[f"{name}.weight"] = tensors[f"{name}.weight"] * scale[:, None, None, None]
            self.tensors[f"{name}.bias"] = tensors[f"{name}.bias"] * scale + shift
        for name in KERNELS:  # in this order a CPU needs a fifth of the time for the first convolution
            self.tensors[f"{name}.weight"] = self.tensors[f"{name}.weight"].contiguous(
                memory_format=torch.channels_last
            )
        self.scale, self.shift = self._norm("input")
        self.transform = ConstantQ(tensors["input.gamma"].device)

    def _norm(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        gamma, beta, mean, variance = (self.tensors[f"{name}.{kind}"] for kind in ("gamma", "beta", "mean", "variance"))
        scale = gamma / (variance + EPSILON).sqrt()
        return scale, beta - mean * scale

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Map (B, N) to the harmonics (B, 8, 172, 264) of a full window, and count the frames between the contexts."""
        count = 1 + (waves.shape[1] - 2 * SIDE - 1) // HOP
        levels = self.transform(fn.pad(waves, (0, SAMPLES - waves.shape[1])))
        stacked = harmonics(levels * self.scale + self.shift)
        return stacked.contiguous(memory_format=torch.channels_last), count

    def __call__(self, x: torch.Tensor, count: int) -> Iterator[torch.Tensor]:
        """Yield contours (B, F, 264), notes (B, F, 88) and onsets (B, F, 88), each value from 0 to 1."""
        kept = slice(SIDE // HOP, SIDE // HOP + count)
        contour = self._conv(self._conv(x, "contour").relu_(), "contour_out").sigmoid_()
        yield contour[:, 0, kept]
        note = self._conv(self._conv(contour, "note", PER_KEY).relu_(), "note_out").sigmoid_()
        yield note[:, 0, kept]
        onset = torch.cat([note, self._conv(x, "onset", PER_KEY).relu_()], dim=1)
        yield self._conv(onset, "onset_out").sigmoid_()[:, 0, kept]

    def _conv(self, x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        time, bins = weight.shape[2:]
        padding = (time // 2, (bins - stride + 1) // 2)  # as TensorFlow pads for "same"
        return fn.conv2d(x, weight, bias, stride=(1, stride), padding=padding)


def harmonics(levels: torch.Tensor) -> torch.Tensor:
    """Map (B, T, 309) to (B, 8, T, 264): the bins of each multiple of a frequency in that frequency's place, or 0."""
    shifts = [round(OCTAVE * math.log2(harmonic)) for harmonic in HARMONICS]
    width = KEYS * PER_KEY
    padded = fn.pad(levels, (OCTAVE, max(shifts) + width - BINS))
    return torch.stack([padded[..., OCTAVE + shift :][..., :width] for shift in shifts], dim=1)


class ConstantQ:
    """Levels of 36 bins an octave, from 0 (the softest of a window) to 1 (the loudest).

    The filters of the highest octave are used for every octave, each time on half the rate of the one above
    (Schörkhuber & Klapuri 2010); centred frames, ends reflected.
    """

    def __init__(self, device: torch.device):
        self.octaves = -(-BINS // OCTAVE)
        quality = 1 / (2 ** (1 / OCTAVE) - 1)
        frequencies = LOWEST * 2 ** (np.arange(BINS) / OCTAVE)
        filters = _filters(quality, frequencies[-OCTAVE:])
        parts = np.concatenate([filters.real, filters.imag]).T
        self.filters = torch.from_numpy(parts.astype(np.float32)).to(device)
        self.low_pass = torch.from_numpy(_low_pass()).to(device)
        gains = np.sqrt(np.ceil(quality * RATE / frequencies))
        self.gains = torch.from_numpy(gains.astype(np.float32)).to(device)

    def __call__(self, waves: torch.Tensor) -> torch.Tensor:
        """Map (B, N) to (B, 1 + N // 256, 309)."""
        x, hop = waves, HOP
        found: list[torch.Tensor] = []
        for octave in range(self.octaves):
            if octave:
                around = (TAPS - 1) // 2
                x, hop = fn.pad(x, (around, around)).unfold(-1, TAPS, 2) @ self.low_pass, hop // 2
            frames = fn.pad(x[:, None], (TAPS // 2, TAPS // 2), mode="reflect")[:, 0].unfold(-1, TAPS, hop)
            real, imaginary = (frames @ self.filters).chunk(2, dim=-1)
            found.insert(0, real.square() + imaginary.square())
        power = torch.cat(found, dim=-1)[..., -BINS:] * self.gains.square()
        levels = 10 * torch.log10(power + 1e-10)
        levels = levels - levels.amin((1, 2), keepdim=True)
        loudest = levels.amax((1, 2), keepdim=True)
        return torch.where(loudest > 0, levels / loudest, torch.zeros_like(levels))


def _filters(quality: float, frequencies: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the complex filters (36, 256) of one octave: `quality` periods each, Hann windows, of absolute sum 1."""
    out = np.zeros((len(frequencies), TAPS), np.complex128)
    for row, frequency in zip(out, frequencies, strict=True):
        length = math.ceil(quality * RATE / frequency)
        at = np.arange(length) - (length + 1) // 2
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        wave = hann * np.exp(2j * np.pi * frequency / RATE * at)
        start = TAPS // 2 - length // 2 - length % 2
        row[start : start + length] = wave / np.abs(wave).sum()
    return out


def _low_pass() -> NDArray[np.float32]:
    """Return a filter (256,) that leaves what half the rate can hold."""
    from scipy.signal import firwin2

    edge, transition = 0.5, 1.001
    return np.asarray(firwin2(TAPS, [0.0, edge / transition, edge * transition, 1.0], [1.0, 1.0, 0.0, 0.0]), np.float32)
