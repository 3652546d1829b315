"""EncodecMAE's encoder, first version (Pepino, Riera and Ferrer 2023, arXiv:2309.07391).

Only what sees unmasked audio: EnCodec's features, a projection, sinusoidal positions, and transformer layers
with two residual streams that share one feed-forward net.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as fn

from ._encodecmae_weights import Shape
from ._packed_linear import pack
from ._seanet import SEANet


class EncodecMAENet(nn.Module):
    """Waves (B, N) at 24 kHz to the states of every layer (B, T, width), T = ceil(N / 320)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.wav_encoder = SEANet(shape.filters, shape.features)
        self.feat_projector = nn.Linear(shape.features, shape.width)
        self.scale = nn.Parameter(torch.ones(()))
        """Of the positions."""
        self.layers = nn.ModuleList(Layer(shape.width, shape.heads) for _ in range(shape.depth))
        self.feed = nn.Sequential(nn.Linear(shape.width, shape.ffn), nn.ReLU(), nn.Linear(shape.ffn, shape.width))
        self.final_norm = nn.LayerNorm(shape.width)

    def forward(self, waves: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield what enters the first layer, the normalised stream after each, and the sum of both streams at the end.

        The streams are those of ResiDual (Xie et al. 2023, arXiv:2304.14802): one is normalised after every
        addition, the other is the bare sum of all sublayers' outputs and is normalised once, at the end.
        """
        with torch.autocast(waves.device.type, enabled=False):  # an LSTM does not gain from less
            features = self.wav_encoder(waves)
            x = self.feat_projector(features)
        x = bare = x + self.scale * positions(x)
        yield x
        valid = waves.shape[1] // self.wav_encoder.hop
        mask = None
        if 0 < valid < x.shape[1]:  # upstream attends to no frame that is not full of samples, though it gives one
            mask = torch.arange(x.shape[1], device=x.device) < valid
        for layer in self.layers:
            x, added = layer(x, self.feed, mask)
            bare = bare + added
            yield x
        yield x + self.final_norm(bare)

    def settle(self, dtype: torch.dtype) -> None:
        """Pack the linear maps; the projection of EnCodec's features stays in float32."""
        pack(self.layers, dtype)
        pack(self.feed, dtype)
        self.wav_encoder.apply(lambda module: module.flatten_parameters() if isinstance(module, nn.LSTM) else None)


class Layer(nn.Module):
    """Attention without biases, the feed-forward net of all layers, and a norm after each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.wq, self.wk = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.wv, self.wo = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, feed: nn.Module, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (B, T, width) to the next normalised stream, and what both sublayers added.

        `mask` (T,) is true for the frames that may be attended to.
        """
        query, key, value = (
            linear(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for linear in (self.wq, self.wk, self.wv)
        )
        mixed = fn.scaled_dot_product_attention(query, key, value, None if mask is None else mask[None])
        attended = self.wo(mixed.transpose(1, 2).flatten(2))
        x = self.norm1(x + attended)
        fed = feed(x)
        return self.norm2(x + fed), attended + fed


def positions(x: torch.Tensor) -> torch.Tensor:
    """Sines and cosines (T, D) by turns, base 10000 (Vaswani et al. 2017), for states (B, T, D)."""
    frames, width = x.shape[1:]
    speed = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10_000.0) / width)).to(x.device)
    angles = torch.arange(frames, device=x.device).float()[:, None] * speed
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
