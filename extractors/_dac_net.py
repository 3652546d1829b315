"""DAC's encoder (Kumar et al. 2023, arXiv:2306.06546): convolutions with periodic activations.

Modules have the names of transformers' checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as fn

from ._dac_config import DILATIONS
from ._modules import NetModule


class DacNet(NetModule):
    """Waves (B, N) to latents (B, T, features), before any quantisation; T = ceil(N / frame).

    The end is filled up with zeros to whole frames. All of it runs in float32.
    """

    def __init__(self, ratios: tuple[int, ...], filters: int) -> None:
        super().__init__()
        self.encoder = DacEncoder(ratios, filters)

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to latents (B, T, features)."""
        return (self.encoder(fn.pad(waves, (0, -waves.shape[1] % self.encoder.frame))),)

    def forward(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the latents."""
        yield latents

    def optimize(self, dtype: torch.dtype) -> None:
        """Do nothing: convolutions are laid out by torch."""


class DacEncoder(nn.Module):
    """Waves (B, N), N whole frames, to latents (B, N / frame, features)."""

    def __init__(self, ratios: tuple[int, ...], filters: int) -> None:
        super().__init__()
        self.frame = math.prod(ratios)
        self.conv1 = nn.Conv1d(1, filters, 7, padding=3)
        self.block = nn.Sequential(*(Step(filters * 2**at, ratio) for at, ratio in enumerate(ratios)))
        width = filters * 2 ** len(ratios)
        self.snake1 = Snake(width)
        self.conv2 = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        """Map (B, N) to (B, N / frame, features)."""
        x: torch.Tensor = self.conv2(self.snake1(self.block(self.conv1(waves[:, None]))))
        return x.transpose(1, 2)


class Step(nn.Module):
    """Three residual units, then a convolution that divides the length by `ratio` and doubles the channels."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.res_unit1, self.res_unit2, self.res_unit3 = (Unit(channels, dilation) for dilation in DILATIONS)
        self.snake1 = Snake(channels)
        self.conv1 = nn.Conv1d(channels, 2 * channels, 2 * ratio, ratio, padding=-(-ratio // 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, T) to (B, 2 channels, T / ratio)."""
        x = self.res_unit3(self.res_unit2(self.res_unit1(x)))
        return self.conv1(self.snake1(x))  # type: ignore[no-any-return]


class Unit(nn.Module):
    """A dilated and a pointwise convolution, added to their input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.snake1 = Snake(channels)
        self.conv1 = nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation)
        self.snake2 = Snake(channels)
        self.conv2 = nn.Conv1d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, T) to the same."""
        return self.conv2(self.snake2(self.conv1(self.snake1(x)))).add_(x)  # type: ignore[no-any-return]


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha, with an alpha for each channel (Ziyin et al. 2020, arXiv:2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, T) to the same."""
        alpha = self.alpha[:, None]
        wave = (alpha * x).sin_()
        return wave.square_().div_(alpha + 1e-9).add_(x)
