"""ResNet-18 (He et al., CVPR 2016) with the first layers of Huang et al. (ICASSP 2020)."""

from __future__ import annotations

import torch
from torch import nn

from .layers import ConvNorm, GlobalMean, MaxPool


class Block(nn.Module):
    """Two convolutions of 3 x 3 around which the input is added; a stride of 2 halves both axes."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first = ConvNorm(inputs, outputs, (3, 3), (stride, stride))
        self.second = ConvNorm(outputs, outputs, (3, 3), relu=False)
        same = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if same else ConvNorm(inputs, outputs, (1, 1), (stride, stride), relu=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, T, F) to (B, C', T / stride, F / stride), rounded up."""
        return torch.relu(self.second(self.first(x)) + self.skip(x))


def resnet18() -> tuple[nn.Module, int]:
    """Return the body, (B, 1, 300, 64) -> (B, 512), and its width."""
    layers: list[nn.Module] = [
        ConvNorm(1, 64, (7, 5), (2, 1)),  # 64 x 150 x 64
        MaxPool((5, 3), (4, 2)),  # 64 x 38 x 32
    ]
    inputs = 64
    # 64 x 38 x 32, 128 x 19 x 16, 256 x 10 x 8, 512 x 5 x 4
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, GlobalMean()), inputs
