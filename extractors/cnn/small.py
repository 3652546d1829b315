"""The small network of Huang et al. (ICASSP 2020): a few convolutions, flattened into the dense layer.

The paper's text says three convolutions, its list of layers four; it gives 537,000 parameters and 22 million
multiplies. Three convolutions without padding and 14 channels meet both: 537,600 weights in the dense layer, 552,022
parameters in all, 22.2 million multiplies.
"""

from __future__ import annotations

from torch import nn

from .layers import ConvNorm, MaxPool

KERNEL, STRIDE = (7, 5), (2, 1)
POOL = (4, 2)


def small() -> tuple[nn.Module, int]:
    """Return the body with three convolutions, (B, 1, 300, 64) -> (B, 4200), and its width."""
    body = nn.Sequential(
        ConvNorm(1, 14, KERNEL, STRIDE, same=False),  # 14 x 147 x 60
        MaxPool(POOL, STRIDE, same=False),  # 14 x 72 x 59
        ConvNorm(14, 14, KERNEL, STRIDE, same=False),  # 14 x 33 x 55
        ConvNorm(14, 14, KERNEL, STRIDE, same=False),  # 14 x 14 x 51
        MaxPool(POOL, STRIDE, same=False),  # 14 x 6 x 50
        nn.Flatten(),
    )
    return body, 14 * 6 * 50


def small4() -> tuple[nn.Module, int]:
    """Return the body with the four convolutions of the paper's list, (B, 1, 300, 64) -> (B, 3520), and its width."""
    body = nn.Sequential(
        ConvNorm(1, 11, KERNEL, STRIDE),  # 11 x 150 x 64
        MaxPool(POOL, STRIDE),  # 11 x 75 x 64
        ConvNorm(11, 11, KERNEL, STRIDE),  # 11 x 38 x 64
        ConvNorm(11, 11, KERNEL, STRIDE),  # 11 x 19 x 64
        ConvNorm(11, 11, KERNEL, STRIDE),  # 11 x 10 x 64
        MaxPool(POOL, STRIDE),  # 11 x 5 x 64
        nn.Flatten(),
    )
    return body, 11 * 5 * 64
