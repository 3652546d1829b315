"""aiSFX's network in torch, and its mel spectrogram, which is Essentia's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as fn

from ._aisfx_config import BANDS, FFT, FRAMES, HOP, RATE, STATISTICS, Config

EPSILON = 1e-5
"""Epsilon of every batch normalisation: torch's default."""
TOP = 9.457798957824707
"""The largest value in the spectrograms of the training sets, by which the network's input is divided."""


class AiSFXNet:
    """Waves with their context to one vector for each patch (B, 1, width).

    Parameters
    ----------
    tensors : as `Config.tensors` lists them, on the device to use; they are taken out of the dict

    """

    def __init__(self, config: Config, tensors: dict[str, torch.Tensor]):
        device = tensors["conv_block1.conv1.weight"].device
        self.window = torch.hann_window(FFT, periodic=False, device=device)
        self.filters = torch.from_numpy(mel_filters().T.astype(np.float32)).to(device)
        self.blocks = [
            [_folded(tensors, f"conv_block{number}", at) for at in (1, 2)]
            for number in range(1, len(config.blocks) + 1)
        ]

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map (B, N) to (B, (N - 1024) // 1024, 96); fewer than 100 frames are filled up with silence, which is 0."""
        spectrum = torch.fft.rfft(waves.unfold(-1, FFT, HOP) * self.window)
        power = (spectrum.real.square() + spectrum.imag.square()) @ self.filters
        mel = torch.log10(10_000 * power + 1) / TOP
        return (fn.pad(mel, (0, 0, 0, max(0, FRAMES - mel.shape[1]))),)

    def __call__(self, mel: torch.Tensor) -> Iterator[torch.Tensor]:
        """Map patches (B, T, 96) to the mean over bands and maximum over time of the last block, (B, 1, width)."""
        x = mel[:, None].contiguous(memory_format=torch.channels_last)
        for number, ((weight1, bias1), (weight2, bias2)) in enumerate(self.blocks, 1):
            x = fn.conv2d(x, weight1, bias1, padding=1).relu_()
            x = fn.conv2d(x, weight2, bias2, padding=1)
            if number < len(self.blocks):
                x = fn.max_pool2d(x, 2)  # before ReLU, which is monotone: a quarter of the values
            x = x.relu_()
        yield x.float().mean(3).amax(2)[:, None]


def _folded(tensors: dict[str, torch.Tensor], block: str, at: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weight and bias of a convolution followed by its batch normalisation, folded in float64."""
    weight = tensors.pop(f"{block}.conv{at}.weight")
    gamma, beta, mean, variance = (tensors.pop(f"{block}.bn{at}.{name}").cpu().double() for name in STATISTICS)
    scale = gamma / (variance + EPSILON).sqrt()
    folded = (weight.cpu().double() * scale[:, None, None, None]).float()
    bias = (beta - mean * scale).float()
    return folded.contiguous(memory_format=torch.channels_last).to(weight.device), bias.to(weight.device)


def mel_filters() -> NDArray[np.float64]:
    """Return the filters (96, 1025): triangles from 0 Hz to 22.05 kHz, each of sum 1.

    Their sides are straight on HTK's mel scale, 1127 ln(1 + f / 700), not in Hz.
    """
    edges = np.linspace(0.0, _mel(np.float64(RATE / 2)), BANDS + 2)
    bins = _mel(np.linspace(0.0, RATE / 2, FFT // 2 + 1))
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles / triangles.sum(axis=1, keepdims=True), np.float64)


def _mel(hertz: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(1127.01048 * np.log1p(hertz / 700))
