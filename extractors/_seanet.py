"""SEANet, the encoder of EnCodec (Défossez et al. 2022, arXiv:2210.13438) and Mimi: causal convolutions.

Modules are numbered as in the ``encodec`` package, whose weight normalisation is folded into the weights before.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as fn

Padding = Literal["reflect", "constant", "replicate"]


class SEANet(nn.ModuleList):
    """Waves (B, N) at 24 kHz to continuous features (B, T, width), before any quantisation; T = ceil(N / hop).

    recurrent : as EnCodec's, with an LSTM, signals reflected at their ends, and a convolution beside each residual
        block; False: as Mimi's, with zeros at the ends
    """

    def __init__(
        self, filters: int, width: int, ratios: tuple[int, ...] = (2, 4, 5, 8), *, recurrent: bool = True
    ) -> None:
        pad: Padding = "reflect" if recurrent else "constant"
        modules: list[nn.Module] = [Causal(1, filters, 7, pad=pad)]
        for ratio in ratios:
            residual = Residual(filters, pad, projected=recurrent)
            modules += [residual, nn.ELU(), Causal(filters, 2 * filters, 2 * ratio, ratio, pad=pad)]
            filters *= 2
        last = Causal(filters, width, 7 if recurrent else 3, pad=pad)
        super().__init__([*modules, *([Recurrent(filters)] if recurrent else []), nn.ELU(), last])
        self.hop = math.prod(ratios)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        """Map (B, N) to (B, T, width)."""
        x = waves[:, None]
        for module in self:
            x = module(x)
        return x.transpose(1, 2)


class Causal(nn.Conv1d):
    """A convolution over the past alone; the signal is padded at its ends to fill the first and the last step."""

    def __init__(
        self, before: int, after: int, kernel: int, stride: int = 1, *, pad: Padding = "reflect", bias: bool = True
    ) -> None:
        super().__init__(before, after, kernel, stride, bias=bias)
        self.pad = pad

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, before, T) to (B, after, ceil(T / stride))."""
        left, right = self.kernel_size[0] - self.stride[0], -x.shape[-1] % self.stride[0]
        # A signal too short to be reflected is padded with zeros first, which are cut off afterwards.
        lack = max(0, max(left, right) + 1 - x.shape[-1]) if self.pad == "reflect" else 0
        x = fn.pad(fn.pad(x, (0, lack)), (left, right), mode=self.pad) if left or right else x
        return super().forward(x[..., : x.shape[-1] - lack])


class Residual(nn.Module):
    """Two convolutions through half the channels, added to their input or to a pointwise convolution of it."""

    def __init__(self, channels: int, pad: Padding, *, projected: bool) -> None:
        super().__init__()
        narrow, wide = Causal(channels, channels // 2, 3, pad=pad), Causal(channels // 2, channels, 1)
        self.block = nn.Sequential(nn.ELU(), narrow, nn.ELU(), wide)
        self.shortcut = Causal(channels, channels, 1) if projected else nn.Identity()

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
