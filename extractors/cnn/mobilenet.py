"""MobileNet (Howard et al. 2017, arXiv:1704.04861) with the first layers of Huang et al. (ICASSP 2020)."""

from __future__ import annotations

from torch import nn

from .layers import ConvNorm, GlobalMean, MaxPool

WIDTH = 0.43
"""Share of the original's channels, with which the parameters are about the 670,000 of Huang et al.

Their 26.1 million multiplies are not met by any width that meets the parameters: here they are 46.8 million.
"""
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Channels and stride of the original's depthwise separable convolutions."""


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return a convolution of 3 x 3 in each channel, then one of 1 x 1 over all channels."""
    return nn.Sequential(
        ConvNorm(inputs, inputs, (3, 3), (stride, stride), groups=inputs), ConvNorm(inputs, outputs, (1, 1))
    )


def mobilenet() -> tuple[nn.Module, int]:
    """Return the body, (B, 1, 300, 64) -> (B, 440), and its width."""
    inputs = round(32 * WIDTH)
    layers: list[nn.Module] = [ConvNorm(1, inputs, (3, 3), (2, 1))]  # 14 x 150 x 64
    # The first block ends with the third convolution: 28 x 150 x 64, after the pool 28 x 75 x 64. Then
    # 55 x 38 x 32 (two blocks), 110 x 19 x 16 (two), 220 x 10 x 8 (six), 440 x 5 x 4 (two).
    for number, (channels, stride) in enumerate(BLOCKS):
        outputs = round(channels * WIDTH)
        layers.append(separable(inputs, outputs, stride))
        if number == 0:
            layers.append(MaxPool((4, 2), (2, 1)))
        inputs = outputs
    return nn.Sequential(*layers, GlobalMean()), inputs
