"""PE-AV's audio tower (Vyas et al. 2025, arXiv:2512.19687): DAC's encoder, two convolutions, a transformer.

Modules have the names of transformers' checkpoints, but for the tensors that `optimize` rearranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as fn

from ._conformer import rotation
from ._dac_net import DacEncoder
from ._modules import NetModule
from ._packed_linear import PackedLinear, pack

if TYPE_CHECKING:
    from ._pe_av_config import Config

EPS, HEAD_EPS = 1e-5, 1e-6
BASE = 20_000.0
"""Of the rotary positions."""


class PEAVNet(NetModule):
    """Waves (B, N) at 48 kHz to the states of every layer (B, ceil(N / 1920), width), then one vector (B, 1, joint).

    The end is filled up to whole frames by reflection. The first token, which becomes the vector, is not among the
    states.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.head = config.width // config.heads
        self.dac_encoder = DacEncoder(config.codec.ratios, config.codec.filters)
        self.bottleneck = nn.Conv1d(config.codec.features, config.bottleneck, 1)
        self.data_proj = nn.Linear(config.bottleneck, config.width)
        self.class_embedding = nn.Parameter(torch.empty(1, 1, config.width))
        self.block1, self.block2 = Convolution(config.width), Convolution(config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(config.width, EPS)
        self.output = nn.Linear(config.width, config.width, bias=False)
        self.layer_norm = nn.LayerNorm(config.width, HEAD_EPS)
        self.proj = nn.Linear(config.width, config.joint, bias=False)

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to the codec's latents (B, T, bottleneck)."""
        padded = fn.pad(waves, (0, -waves.shape[1] % self.dac_encoder.frame), mode="reflect")
        return (self.bottleneck(self.dac_encoder(padded).transpose(1, 2)).transpose(1, 2),)

    def forward(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the transformer's input, the states after each layer, and the vector in the common space."""
        x = self.data_proj(latents).float()
        x = torch.cat([self.class_embedding.expand(len(x), -1, -1), x], dim=1)
        x = x + self.block2(self.block1(x.transpose(1, 2))).transpose(1, 2)
        yield x[:, 1:]
        turn = rotation(x.shape[1], self.head, x.device, BASE)
        for layer in self.layers:
            x = layer(x, turn)
            yield x[:, 1:]
        pooled = self.output(self.norm(x[:, :1])).float()
        yield self.proj(self.layer_norm(pooled)).float()

    def optimize(self, dtype: torch.dtype) -> None:
        """Join and pack linear maps."""
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.join(dtype)
        pack(self, dtype)


class Convolution(nn.Module):
    """A norm over time and channels, SiLU, a convolution; always in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.groupnorm = nn.GroupNorm(1, width)
        self.project = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, width, T) to the same."""
        return self.project(fn.silu(self.groupnorm(x)))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention with rotary positions, whose queries and keys have unit power; a gated feed-forward net."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d, self.heads = config.width, config.heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.q_norm, self.k_norm = nn.RMSNorm(d // config.heads, EPS), nn.RMSNorm(d // config.heads, EPS)
        self.gate_proj, self.up_proj = (nn.Linear(d, config.hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(config.hidden, d, bias=False)
        self.input_layernorm, self.post_attention_layernorm = nn.RMSNorm(d, EPS), nn.RMSNorm(d, EPS)

    def join(self, dtype: torch.dtype) -> None:
        """Make one map of three projections and of gate and value.

        The second channel of every rotated pair moves to the second half of its head, where `rotation` expects it.
        Queries and keys are ordered alike, so their products stay the same.
        """
        head = self.q_norm.normalized_shape[0]
        order = torch.arange(head, device=self.q_norm.weight.device).view(-1, 2).T.flatten()
        parts = [each.weight.view(self.heads, head, -1)[:, order].flatten(0, 1) for each in (self.q_proj, self.k_proj)]
        self.project = PackedLinear(torch.cat([*parts, self.v_proj.weight]), None, dtype)
        self.gains = torch.stack([self.q_norm.weight[order], self.k_norm.weight[order]])[:, None]
        self.open = PackedLinear(torch.cat([self.gate_proj.weight, self.up_proj.weight]), None, dtype)
        del self.q_proj, self.k_proj, self.v_proj, self.q_norm, self.k_norm, self.gate_proj, self.up_proj

    def forward(self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Map (B, T, width) to the same."""
        parts = self.project(self.input_layernorm(x)).unflatten(-1, (3, self.heads, -1))
        pair, value = parts[:, :, :2].float(), parts[:, :, 2]
        pair = pair * (pair.square().mean(-1, keepdim=True) + EPS).rsqrt() * self.gains
        low, high = pair.chunk(2, dim=-1)
        pair = pair * turn[0][:, None] + torch.cat([-high, low], dim=-1) * turn[1][:, None]
        query, key, value = (each.transpose(1, 2) for each in (*pair.to(value.dtype).unbind(2), value))
        x = x + self.o_proj(fn.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        gate, up = self.open(self.post_attention_layernorm(x)).chunk(2, dim=-1)
        return x + self.down_proj(fn.silu(gate) * up)  # type: ignore[no-any-return]
