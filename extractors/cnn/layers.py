"""Layers that the networks share. Maps have the axes (window, channel, time, frequency)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Pair = tuple[int, int]
"""A size over (time, frequency)."""


class ConvNorm(nn.Sequential):
    """Convolution without a bias, batch normalisation, ReLU.

    same : pad with zeros, so that a stride of s leaves ceil(n / s) of n places; else only full places (VALID)
    relu : apply ReLU at the end
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Pair,
        stride: Pair = (1, 1),
        *,
        groups: int = 1,
        same: bool = True,
        relu: bool = True,
    ):
        padding = (kernel[0] // 2, kernel[1] // 2) if same else (0, 0)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            *([nn.ReLU(inplace=True)] if relu else []),
        )


def fuse(network: nn.Module) -> None:
    """Multiply every batch normalisation of a network in eval mode into its convolution, in place."""
    for layer in network.modules():
        if isinstance(layer, ConvNorm):
            convolution, norm = layer[0], layer[1]
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            layer[0] = fuse_conv_bn_eval(convolution, norm)
            layer[1] = nn.Identity()


class MaxPool(nn.Module):
    """Maximum over `kernel` places, at least 0; `same` as in `ConvNorm`.

    Zeros are enough for padding, because the maps come from a ReLU.
    """

    def __init__(self, kernel: Pair, stride: Pair, *, same: bool = True):
        super().__init__()
        self.kernel, self.stride, self.same = kernel, stride, same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, T, F) to (B, C, T', F')."""
        if self.same:
            time, frequency = (
                max((-(-n // s) - 1) * s + k - n, 0)
                for n, k, s in zip(x.shape[2:], self.kernel, self.stride, strict=True)
            )
            x = nn.functional.pad(x, (frequency // 2, frequency - frequency // 2, time // 2, time - time // 2))
        return nn.functional.max_pool2d(x, self.kernel, self.stride)


class GlobalMean(nn.Module):
    """Mean over time and frequency."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, T, F) to (B, C)."""
        return x.mean((2, 3))
