"""The conformer of MusicFM and MuQ: convolution-augmented transformer blocks (Gulati et al. 2020, arXiv:2005.08100).

Modules and tensors have the names of ``transformers``' Wav2Vec2ConformerEncoder, as in the published
checkpoints. Its positional convolution, which is in the checkpoints but never called, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as fn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ._packed_linear import PackedLinear


class Conformer(nn.Module):
    """Blocks over (B, T, width), rotary positions, and a layer normalisation at the end."""

    def __init__(self, width: int, depth: int, heads: int, ffn: int, kernel: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(width, heads, ffn, kernel) for _ in range(depth))
        self.layer_norm = nn.LayerNorm(width)
        self.head = width // heads

    def forward(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the input, then the states after each block, the last one normalised: (B, T, width) each."""
        yield x
        cos, sin = rotation(x.shape[1], self.head, x.device)
        for number, block in enumerate(self.layers, 1):
            x = block(x, cos, sin)
            yield self.layer_norm(x) if number == len(self.layers) else x


class Block(nn.Module):
    """Half a feed-forward net, attention, convolution, the other half, a normalisation."""

    def __init__(self, width: int, heads: int, ffn: int, kernel: int) -> None:
        super().__init__()
        self.ffn1_layer_norm, self.ffn1 = nn.LayerNorm(width), FeedForward(width, ffn)
        self.self_attn_layer_norm, self.self_attn = nn.LayerNorm(width), Attention(width, heads)
        self.conv_module = Convolution(width, kernel)
        self.ffn2_layer_norm, self.ffn2 = nn.LayerNorm(width), FeedForward(width, ffn)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        x = x + 0.5 * self.ffn1(self.ffn1_layer_norm(x))
        x = x + self.self_attn(self.self_attn_layer_norm(x), cos, sin)
        x = x + self.conv_module(x)
        x = x + 0.5 * self.ffn2(self.ffn2_layer_norm(x))
        return self.final_layer_norm(x)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear maps around a swish."""

    def __init__(self, width: int, ffn: int) -> None:
        super().__init__()
        self.intermediate_dense, self.output_dense = nn.Linear(width, ffn), nn.Linear(ffn, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        return self.output_dense(fn.silu(self.intermediate_dense(x)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention over all frames.

    Upstream rotates the states *before* it projects them to queries and keys; other models rotate queries and
    keys. Values come from the states without rotation.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q, self.linear_k = nn.Linear(width, width), nn.Linear(width, width)
        self.linear_v, self.linear_out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        parts = self._split(x)
        low, high = parts.chunk(2, dim=-1)
        rotated = (parts * cos + torch.cat([-high, low], dim=-1) * sin).flatten(2)
        query, key, value = (
            self._split(linear(states)).transpose(1, 2)
            for linear, states in ((self.linear_q, rotated), (self.linear_k, rotated), (self.linear_v, x))
        )
        mixed = fn.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self.linear_out(mixed)  # type: ignore[no-any-return]

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:-1], self.heads, -1)


class Convolution(nn.Module):
    """Gated pointwise and depthwise convolution over time; callable after `fold`."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width)
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1, bias=False)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.batch_norm = nn.BatchNorm1d(width)
        self.pointwise_conv2 = nn.Conv1d(width, width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        x = fn.glu(self.open(self.layer_norm(x)))
        x = fn.silu(self.depthwise_conv(x.transpose(1, 2)))
        return self.close(x.transpose(1, 2))  # type: ignore[no-any-return]

    def fold(self, dtype: torch.dtype) -> None:
        """Make the pointwise convolutions linear maps, and fold the batch normalisation into the depthwise one."""
        self.depthwise_conv = fuse_conv_bn_eval(self.depthwise_conv, self.batch_norm)
        del self.batch_norm
        self.open = PackedLinear(self.pointwise_conv1.weight[..., 0], None, dtype)
        self.close = PackedLinear(self.pointwise_conv2.weight[..., 0], None, dtype)
        del self.pointwise_conv1, self.pointwise_conv2


def rotation(
    frames: int, width: int, device: torch.device, base: float = 10_000.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine (T, 1, width) of rotary positions (Su et al. 2021, arXiv:2104.09864)."""
    steps = torch.arange(0, width, 2, dtype=torch.int64, device=device).float() / width
    angles = torch.arange(frames, device=device).float()[:, None] / base**steps
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    return angles.cos(), angles.sin()
