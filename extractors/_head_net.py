"""The modules of `head`: standardisation by fixed numbers, dense layers, and division by the euclidean norm."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

HIDDEN = 512
"""Units of the hidden layer of the MLP."""


class Standardise(nn.Module):
    """Subtract the means and divide by the deviations of vectors (N, D); values that are constant become 0."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, seen: NDArray[np.float32]):
        super().__init__()
        deviation = seen.std(axis=0, dtype=np.float64)
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        self.register_buffer("mean", torch.from_numpy(seen.mean(axis=0, dtype=np.float64).astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map (B, D) to (B, D)."""
        return (vectors - self.mean) * self.scale


class Unit(nn.Module):
    """Division by the euclidean norm, in float32."""

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map (B, D) to (B, D) of length 1."""
        return nn.functional.normalize(vectors.float(), dim=1)


def head(kind: str, seen: NDArray[np.float32], outputs: int) -> nn.Sequential:
    """Return a linear head or an MLP with one hidden layer on vectors like `seen` (N, D): (B, D) -> (B, outputs)."""
    width = seen.shape[1]
    mlp = [nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)]
    return nn.Sequential(Standardise(seen), *([nn.Linear(width, outputs)] if kind == "linear" else mlp), Unit())
