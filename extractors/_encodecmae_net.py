"""EncodecMAE's encoder, first version (Pepino, Riera and Ferrer 2023, arXiv:2309.07391).

The part that processes unmasked audio: EnCodec's features, a projection, sinusoidal positions, and transformer
layers with two residual streams that share one feed-forward net.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as fn

from ._modules import NetModule
from ._packed_linear import pack
from ._seanet import SEANet


class EncodecMAENet(NetModule):
    """Waves (B, N) at 24 kHz to the states of every layer (B, T, width), T = ceil(N / 320)."""

    def __init__(self, width: int, depth: int, heads: int, ffn: int, filters: int, features: int) -> None:
        super().__init__()
        self.wav_encoder = SEANet(filters, features)
        self.feat_projector = nn.Linear(features, width)
        self.scale = nn.Parameter(torch.ones(()))
        """Factor of the positions."""
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.feed = nn.Sequential(nn.Linear(width, ffn), nn.ReLU(), nn.Linear(ffn, width))
        self.final_norm = nn.LayerNorm(width)

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Map waves (B, N) to EnCodec's features with positions (B, T, width), and a mask (T,) of full frames.

        The mask is None if all frames are full. Upstream attends to no frame that lacks samples, though it returns
        the frame.
        """
        x = self.feat_projector(self.wav_encoder(waves))
        x = x + self.scale * positions(x)
        full = waves.shape[1] // self.wav_encoder.hop
        return x, torch.arange(x.shape[1], device=x.device) < full if 0 < full < x.shape[1] else None

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> Iterator[torch.Tensor]:
        """Yield `x`, the normalised stream after each layer, and the sum of both streams at the end.

        The streams are those of ResiDual (Xie et al. 2023, arXiv:2304.14802): one is normalised after every
        addition; the other is the plain sum of all sublayers' outputs, normalised once at the end.
        """
        total = x
        yield x
        for layer in self.layers:
            x, added = layer(x, self.feed, mask)
            total = total + added
            yield x
        yield x + self.final_norm(total)

    def optimize(self, dtype: torch.dtype) -> None:
        """Pack the linear maps; the projection of EnCodec's features stays in float32."""
        pack(self.layers, dtype)
        pack(self.feed, dtype)
        self.wav_encoder.apply(lambda module: module.flatten_parameters() if isinstance(module, nn.LSTM) else None)


class Layer(nn.Module):
    """Attention without biases, then the feed-forward net that all layers share; a norm after each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.wq, self.wk = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.wv, self.wo = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, feed: nn.Module, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (B, T, width) to the next normalised stream, and to the sum of both sublayers' outputs.

        `mask` (T,) is true for the frames that attention may use.
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
    """Return alternating sines and cosines (T, D), base 10000 (Vaswani et al. 2017), for states (B, T, D)."""
    frames, width = x.shape[1:]
    steps = torch.arange(0, width, 2, dtype=torch.float32, device=x.device)  # nothing is copied to a GPU
    speed = torch.exp(steps * -(math.log(10_000.0) / width))
    angles = torch.arange(frames, device=x.device).float()[:, None] * speed
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
