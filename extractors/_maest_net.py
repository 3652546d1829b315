"""MAEST's network: a transformer over overlapping patches of a mel spectrogram (Alonso-Jimenez et al. 2023).

arXiv:2309.16418; the architecture is PaSST's (Koutini et al. 2022, arXiv:2110.05069) without its dropping of patches,
which only training does. Modules and tensors have the names of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as fn

from ._logc_mel import LEVELS, logc_mel
from ._modules import NetModule
from ._packed_linear import pack

EPS = 1e-6


class MAESTNet(NetModule):
    """Waves (B, N) to one vector (B, 1, 3 width) after each block, and (B, 1, width) after the last normalisation."""

    def __init__(self, *, frames: int, mels: int, width: int, depth: int, heads: int, patch: int, stride: int) -> None:
        super().__init__()
        self.mels = mels
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, patch, stride)})
        self.cls_token, self.dist_token = (nn.Parameter(torch.zeros(1, 1, width)) for _ in range(2))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, width))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, width, mels // stride, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, width, 1, frames // stride))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, EPS)

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to the standardised spectrogram (B, mels, frames)."""
        mean, spread = LEVELS
        return ((logc_mel(waves, self.mels) - mean) / (2 * spread),)

    def forward(self, levels: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield, after each block, both learned tokens and the mean of the others, side by side; at last, `final`.

        `final` is the mean of both learned tokens after the last normalisation.
        """
        x = self.patch_embed["proj"](levels[:, None])  # (B, width, bands, frames)
        x = x + self.time_new_pos_embed[..., : x.shape[-1]] + self.freq_new_pos_embed
        learned = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        x = torch.cat([learned.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
        for block in self.blocks:
            x = block(x)
            yield torch.cat([x[:, 0], x[:, 1], x[:, 2:].mean(dim=1)], dim=-1)[:, None]
        yield self.norm(x[:, :2]).mean(dim=1, keepdim=True)

    def optimize(self, dtype: torch.dtype) -> None:
        """Pack the linear maps."""
        pack(self, dtype)


class Block(nn.Module):
    """Attention and a feed-forward net, each after a norm and beside the stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        parts = self.attn["qkv"](self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = fn.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        x = x + self.attn["proj"](mixed.transpose(1, 2).flatten(2))
        return x + self.mlp["fc2"](fn.gelu(self.mlp["fc1"](self.norm2(x))))  # type: ignore[no-any-return]
