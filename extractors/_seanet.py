"""EnCodec's encoder, SEANet (Défossez et al. 2022, arXiv:2210.13438): causal convolutions, an LSTM, 75 frames a second.

Modules are numbered as in the ``encodec`` package, whose weight normalisation is folded into the weights before.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as fn


class SEANet(nn.ModuleList):
    """Waves (B, N) at 24 kHz to continuous features (B, T, width), before any quantisation; T = ceil(N / hop)."""

    def __init__(self, filters: int, width: int, ratios: tuple[int, ...] = (2, 4, 5, 8)) -> None:
        modules: list[nn.Module] = [Causal(1, filters, 7)]
        for ratio in ratios:
            modules += [Residual(filters), nn.ELU(), Causal(filters, 2 * filters, 2 * ratio, ratio)]
            filters *= 2
        super().__init__([*modules, Recurrent(filters), nn.ELU(), Causal(filters, width, 7)])
        self.hop = math.prod(ratios)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        """Map (B, N) to (B, T, width)."""
        x = waves[:, None]
        for module in self:
            x = module(x)
        return x.transpose(1, 2)


class Causal(nn.Conv1d):
    """A convolution over the past alone; the signal is reflected at its ends to fill the last step."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1) -> None:
        super().__init__(before, after, kernel, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, before, T) to (B, after, ceil(T / stride))."""
        left, right = self.kernel_size[0] - self.stride[0], -x.shape[-1] % self.stride[0]
        # A signal too short to be reflected is padded with zeros first, which are cut off afterwards.
        lack = max(0, max(left, right) + 1 - x.shape[-1])
        x = fn.pad(fn.pad(x, (0, lack)), (left, right), mode="reflect") if left or right else x
        return super().forward(x[..., : x.shape[-1] - lack])


class Residual(nn.Module):
    """Two convolutions through half the channels, beside a pointwise one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, wide = Causal(channels, channels // 2, 3), Causal(channels // 2, channels, 1)
        self.block = nn.Sequential(nn.ELU(), narrow, nn.ELU(), wide)
        self.shortcut = Causal(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, T) to the same."""
        return self.shortcut(x) + self.block(x)  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """Two layers of LSTM, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers=2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, T) to the same."""
        steps = x.transpose(1, 2)
        states: tuple[torch.Tensor, Any] = self.lstm(steps)
        return (states[0] + steps).transpose(1, 2)
