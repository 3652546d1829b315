"""MusicFM's network (Won, Hung and Le 2023, arXiv:2311.03318), which is also MuQ's (Zhu et al. 2025, arXiv:2501.01108).

A mel spectrogram in decibels at 100 frames a second, two residual blocks of convolutions that leave 25, a conformer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as fn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ._conformer import Conformer, Convolution
from ._modules import NetModule
from ._packed_linear import pack

RATE, FFT, HOP = 24_000, 2048, 240
FLOOR = 1e-10
"""Lowest power that is told apart from silence: -100 dB."""


class MusicFMNet(NetModule):
    """Waves (B, N) to the states of every layer (B, T, width), T = ceil(floor(N / 240) / 4)."""

    def __init__(self, mels: int, channels: int, width: int, depth: int, heads: int, ffn: int, kernel: int) -> None:
        super().__init__()
        self.mel = DecibelMel(mels)
        self.conv = Subsampling(mels, channels, width)
        self.conformer = Conformer(width, depth, heads, ffn, kernel)

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to the normalised spectrogram (B, mels, floor(N / 240))."""
        return (torch.cat([self.mel(wave[None]) for wave in waves]),)  # clip by clip, to save memory

    def forward(self, mel: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the subsampled spectrogram (layer 0) and the states after each block."""
        # Clip by clip: 30 s need 200 MB for each tensor here, and a batch is no faster.
        yield from self.conformer(torch.cat([self.conv(one[None]) for one in mel]))

    def optimize(self, dtype: torch.dtype) -> None:
        """Fold the batch normalisations, whose statistics are fixed, into convolutions; pack the linear maps."""
        for module in list(self.modules()):
            if isinstance(module, Residual):
                module.fold()
            elif isinstance(module, Convolution):
                module.fold(dtype)
        pack(self, dtype)


class DecibelMel(nn.Module):
    """Standardised levels of mel bands, equal to torchaudio's MelSpectrogram and AmplitudeToDB.

    Periodic Hann window of 2048 samples every 240, centred, the signal reflected at its ends; power; HTK
    bands; 10 log10 with a floor and without a limit to the range; less `mean`, divided by `std`. The last frame is
    dropped, as upstream does.

    per_band : each band has a mean and a deviation of its own
    """

    def __init__(self, mels: int, *, per_band: bool = False) -> None:
        super().__init__()
        levels = (mels,) if per_band else ()
        self.mean, self.std = nn.Buffer(torch.zeros(levels)), nn.Buffer(torch.ones(levels))
        """Of the training set's levels, in dB."""
        self.mels = mels
        self.window: torch.Tensor | None = None
        self.filters: torch.Tensor | None = None

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        """Map (B, N) to (B, mels, floor(N / 240))."""
        if self.window is None or self.filters is None:
            self.window = torch.hann_window(FFT, device=waves.device)
            self.filters = htk_filters(self.mels).to(waves.device)
        spectrum = torch.stft(waves, FFT, HOP, window=self.window, pad_mode="reflect", return_complex=True)
        power = self.filters @ spectrum[..., :-1].abs().square()
        return (10 * power.clamp(min=FLOOR).log10() - self.mean[..., None]) / self.std[..., None]


def htk_filters(mels: int) -> torch.Tensor:
    """Triangles (mels, 1025) of height 1 on HTK's mel scale, 2595 log10(1 + f / 700), from 0 to 12 kHz.

    In float32 and in torchaudio's order of operations: equal to its ``melscale_fbanks`` to the last bit.
    """
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, top, mels + 2) / 2595.0) - 1.0)
    bins = torch.linspace(0, RATE // 2, FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0.0)


class Subsampling(nn.Module):
    """Convolutions that leave a quarter of the frames and bands, then one linear map over channels and bands."""

    def __init__(self, mels: int, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(Residual(1, channels), Residual(channels, channels))
        self.linear = nn.Linear(channels * (mels // 4), width)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Map (B, mels, T) to (B, ceil(T / 4), width)."""
        x = self.conv(mel[:, None])  # (B, channels, bands, frames)
        return self.linear(x.permute(0, 3, 1, 2).flatten(2))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Two convolutions beside a third one, which halve frames and bands; callable after `fold`."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1), nn.BatchNorm2d(after)
        self.conv3, self.bn3 = nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, before, F, T) to (B, after, ceil(F / 2), ceil(T / 2))."""
        return fn.relu_(self.conv3(x).add_(self.conv2(fn.relu_(self.conv1(x)))))

    def fold(self) -> None:
        """Fold the normalisations into the convolutions."""
        self.conv1 = fuse_conv_bn_eval(self.conv1, self.bn1)
        self.conv2 = fuse_conv_bn_eval(self.conv2, self.bn2)
        self.conv3 = fuse_conv_bn_eval(self.conv3, self.bn3)
        del self.bn1, self.bn2, self.bn3
