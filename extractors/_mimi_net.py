"""Mimi's encoder (Défossez et al. 2024, arXiv:2410.00037): convolutions, a causal transformer, a downsampling step.

The transformer's layers have the names of transformers' checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as fn

from ._conformer import rotation
from ._mimi_config import RATIOS, Config
from ._modules import NetModule
from ._packed_linear import PackedLinear
from ._seanet import Causal, SEANet


class MimiNet(NetModule):
    """Waves (B, N) at 24 kHz, 10 s at most, to states (B, ceil(N / 960), width), then latents of half the length.

    All of it runs in float32.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder = SEANet(config.filters, config.width, RATIOS, recurrent=False)
        self.layers = nn.ModuleList(Layer(config.width, config.heads) for _ in range(config.depth))
        self.downsample = Causal(config.width, config.width, 4, 2, pad="replicate", bias=False)
        self.head = config.width // config.heads

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to the transformer's input (B, T, width)."""
        return (self.encoder(waves),)

    def forward(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the transformer's input, the state after each layer, and the latents."""
        yield x
        turn = rotation(x.shape[1], self.head, x.device)
        for layer in self.layers:
            x = layer(x, turn)
            yield x
        yield self.downsample(x.transpose(1, 2)).transpose(1, 2)

    def optimize(self, dtype: torch.dtype) -> None:
        """Fold the scales of residuals into linear maps and pack these."""
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.fold(dtype)


class Layer(nn.Module):
    """Attention to the past with rotary positions, then a feed-forward net; both residuals are scaled by channel."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        self.input_layernorm, self.post_attention_layernorm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_scale, self.feed_scale = (nn.Parameter(torch.ones(width)) for _ in range(2))

    def fold(self, dtype: torch.dtype) -> None:
        """Join the three projections, and put the scales of residuals into the maps before them."""
        joined = torch.cat([self.q_proj.weight, self.k_proj.weight, self.v_proj.weight])
        self.project = PackedLinear(joined, None, dtype)
        self.out = PackedLinear(self.attention_scale[:, None] * self.o_proj.weight, None, dtype)
        self.up = PackedLinear(self.fc1.weight, None, dtype)
        self.down = PackedLinear(self.feed_scale[:, None] * self.fc2.weight, None, dtype)
        del self.q_proj, self.k_proj, self.v_proj, self.o_proj, self.fc1, self.fc2
        del self.attention_scale, self.feed_scale

    def forward(self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Map (B, T, width) to the same."""
        parts = self.project(self.input_layernorm(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = (
            part.transpose(1, 2) for part in (*(rotated(parts[:, :, at], turn) for at in (0, 1)), parts[:, :, 2])
        )
        heard = fn.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(heard.transpose(1, 2).flatten(2))
        feed: torch.Tensor = self.down(fn.gelu(self.up(self.post_attention_layernorm(x))))
        return x + feed


def rotated(x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn channel c of each head (B, T, heads, width) with channel c + width / 2."""
    low, high = x.chunk(2, dim=-1)
    return x * turn[0] + torch.cat([-high, low], dim=-1) * turn[1]
