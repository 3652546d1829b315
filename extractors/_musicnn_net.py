"""MusiCNN's network in torch, arranged for speed, and its mel spectrogram.

Two changes save most of the time and alter numbers by rounding only. ReLU and batch normalisation are monotone
in each channel, so the maximum over frequency can be taken before them: of the convolution, or of its negative
where a channel's gamma is negative (`Conv`). And with one patch at a time, channels last, a CPU's convolutions
stay in its caches; therefore no result depends on the size of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ._mel import mel_filters
from ._musicnn_config import BANDS, FFT, FRAMES, HOP, RATE

if TYPE_CHECKING:
    import torch

EPSILON = 1e-3
"""Epsilon of every batch normalisation: TensorFlow's default."""
TOP = 65_504.0
"""The largest float16."""


class Norm:
    """Batch normalisation with the statistics of training: x * scale + shift."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], name: str):
        scale = tensors[f"{name}.gamma"] / (tensors[f"{name}.variance"] + EPSILON).sqrt()
        self.scale, self.shift = scale, tensors[f"{name}.beta"] - tensors[f"{name}.mean"] * scale

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last axis (..., C)."""
        return x * self.scale + self.shift


class Conv:
    """Convolution over (time, frequency), ReLU, batch normalisation, maximum over all frequencies left.

    max(norm(relu(y))) = norm(relu(max(y))) where norm rises; where it falls, norm(relu(min(y))), and
    min(y) = -max(-y): those channels' weights are stored negated.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], name: str):
        import torch

        self.norm = Norm(tensors, name)
        self.sign = torch.where(self.norm.scale < 0, -1.0, 1.0).to(self.norm.scale.dtype)
        weight = tensors[f"{name}.weight"] * self.sign[:, None, None, None]
        self.weight = weight.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # channels last
        self.bias = tensors[f"{name}.bias"] * self.sign
        taps = weight.shape[2]
        self.before, self.after = (taps - 1) // 2, taps // 2  # as TensorFlow pads for "same"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, F, C) to (B, T, C'): zeros around in time, none in frequency."""
        import torch.nn.functional as fn

        x = fn.pad(x, (0, 0, 0, 0, self.before, self.after)).permute(0, 3, 1, 2)
        y = fn.conv2d(x, self.weight, self.bias)
        if y.shape[3] > 1:
            y = fn.max_pool2d(y, (1, y.shape[3]))
        return self.norm((y[..., 0].transpose(1, 2) * self.sign).relu())


class MusiCNNNet:
    """Waves with 256 samples of context on both sides to every output, (B, 1, D) each (Pons and Serra, 2019).

    arXiv:1909.06654; the sizes are those of the checkpoint.

    Parameters
    ----------
    tensors : as `Config.tensors` lists them, on the device to use

    """

    def __init__(self, tensors: Mapping[str, torch.Tensor]):
        self.tensors = tensors
        self.front_end = LogMel(tensors["dense.bias"].device)
        self.input, self.pool, self.dense = (Norm(tensors, name) for name in ("input", "pool", "dense"))
        names = ("timbral38", "timbral67", "temporal128", "temporal64", "temporal32")
        self.front = [Conv(tensors, name) for name in names]
        self.middle = [Conv(tensors, f"middle{i}") for i in (1, 2, 3)]

    def __call__(self, patches: torch.Tensor) -> Iterator[torch.Tensor]:
        """Map log-mel patches (B, T, 96) to `penultimate`, `mean_pool`, `max_pool` and `taggram` (B, 1, D)."""
        import torch
        import torch.nn.functional as fn

        x = self.input(patches[..., None])
        front = torch.cat([conv(x) for conv in self.front], dim=-1)
        features, total = [front], front.new_zeros(())
        for conv in self.middle:
            total = conv(features[-1][:, :, None]) + total
            features.append(total)
        every = torch.cat(features, dim=-1)
        highest, mean = every.amax(dim=1), every.mean(dim=1)
        pooled = torch.stack([highest, mean], dim=-1).flatten(1)  # max and mean of each channel side by side
        dense = fn.linear(self.pool(pooled), self.tensors["dense.weight"], self.tensors["dense.bias"])
        penultimate = self.dense(dense.relu())
        logits = fn.linear(penultimate, self.tensors["output.weight"], self.tensors["output.bias"])
        yield from (layer[:, None] for layer in (penultimate, mean, highest, logits.sigmoid()))


class LogMel:
    """Log-mel patches as librosa makes them for the original.

    Hann window of 512 samples every 256; power; 96 Slaney bands of unit area from 0 to 8 kHz; rounded to
    float16, as in the original, and back to float32; log10(10000 x + 1).
    """

    def __init__(self, device: torch.device):
        import torch

        self.window = torch.hann_window(FFT, periodic=True, device=device)
        self.filters = torch.from_numpy(mel_filters(RATE, FFT, BANDS).T.astype(np.float32)).to(device)

    def __call__(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map (B, 512 + 256 (T - 1)) to (B, T, 96); fewer than 187 frames are repeated until there are 187."""
        import torch

        spectrum = torch.fft.rfft(waves.unfold(-1, FFT, HOP) * self.window)
        power = (spectrum.real.square() + spectrum.imag.square()) @ self.filters
        rounded = power.clamp(max=TOP).to(torch.float16).to(torch.float32)
        mel = torch.log10(10_000 * rounded + 1)
        if (frames := mel.shape[1]) < FRAMES:
            mel = mel.repeat(1, -(-FRAMES // frames), 1)[:, :FRAMES]
        return (mel,)
