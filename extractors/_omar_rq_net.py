"""OMAR-RQ's network: a conformer of causal attention over pieces of the wave or of a mel spectrogram.

Alonso-Jimenez et al. 2025, arXiv:2507.03482. Its sizes and constants are those of the published configurations.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as fn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ._conformer import rotation
from ._logc_mel import logc_mel
from ._modules import NetModule
from ._packed_linear import PackedLinear, pack

INNER_EPS = 6.1e-5
"""Of the norms inside the feed-forward nets and convolutions; the other norms have torch's 1e-5."""


class OmarRQNet(NetModule):
    """Waves (B, N) to the states (B, T, width) after each block."""

    def __init__(
        self,
        *,
        samples: int,
        mels: int,
        width: int,
        depth: int,
        heads: int,
        frames: int,
        kernel: int,
        residual: float,
        feed_factor: float,
    ) -> None:
        super().__init__()
        self.samples, self.mels, self.frames, self.head = samples, mels, frames, width // heads
        self.level_bias, self.level_std = nn.Buffer(torch.zeros(())), nn.Buffer(torch.ones(()))
        """Mean and standard deviation of the samples, or of the spectrogram's levels, in the training set."""
        self.embed = nn.Linear(mels * frames or samples, width)
        self.blocks = nn.ModuleList(Block(width, heads, kernel, residual, feed_factor) for _ in range(depth))

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to tokens (B, T, values of a token); what is left after the last one is dropped."""
        if self.mels:
            levels = self._standard(logc_mel(waves, self.mels))
            pieces = levels.unfold(2, self.frames, self.frames)  # (B, mels, T, frames)
            return (pieces.transpose(1, 2).flatten(2),)
        return (self._standard(waves).unfold(1, self.samples, self.samples),)

    def forward(self, tokens: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the states after each block."""
        x = self.embed(tokens)
        turn = rotation(x.shape[1], self.head, x.device)
        for block in self.blocks:
            x = block(x, *turn)
            yield x

    def optimize(self, dtype: torch.dtype) -> None:
        """Order the channels of queries and keys for `rotation`, fold batch normalisations, pack linear maps."""
        for module in list(self.modules()):
            if isinstance(module, Attention):
                module.order()
            elif isinstance(module, Convolution):
                module.fold(dtype)
        pack(self, dtype)

    def _standard(self, values: torch.Tensor) -> torch.Tensor:
        return (values - self.level_bias) / self.level_std


class Block(nn.Module):
    """Feed-forward net, attention, convolution, feed-forward net; the sum at the attention is a DeepNorm."""

    def __init__(self, width: int, heads: int, kernel: int, residual: float, feed_factor: float) -> None:
        super().__init__()
        self.residual, self.feed_factor = residual, feed_factor
        self.ff1, self.ff2 = FeedForward(width), FeedForward(width)
        self.attention, self.norm1 = Attention(width, heads), nn.LayerNorm(width)
        self.conv, self.norm2 = Convolution(width, kernel), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        x = x + self.feed_factor * self.ff1(x)
        x = self.norm1(self.residual * x + self.attention(x, cos, sin))
        x = x + self.conv(x)
        return self.norm2(x + self.feed_factor * self.ff2(x))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """A norm and two linear maps around a GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, INNER_EPS)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        return self.down(fn.gelu(self.up(self.norm(x))))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention of each token to itself and to earlier ones, with rotary positions; callable after `order`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, heads, channels)
        turned, value = parts[:, :, :2], parts[:, :, 2]
        low, high = turned.chunk(2, dim=-1)
        turned = (turned * cos[:, None] + torch.cat([-high, low], dim=-1) * sin[:, None]).to(value.dtype)
        query, key, value = (each.transpose(1, 2) for each in (*turned.unbind(2), value))
        mixed = fn.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def order(self) -> None:
        """Move the second channel of every rotated pair to the second half of its head, where `rotation` expects it.

        Queries and keys are ordered alike, so their products stay the same.
        """
        width = self.proj.in_features
        channels = torch.arange(width).view(self.heads, -1, 2).transpose(1, 2).flatten()
        rows = torch.cat([channels, width + channels, torch.arange(2 * width, 3 * width)])
        self.qkv.weight.data = self.qkv.weight[rows.to(self.qkv.weight.device)]


class Convolution(nn.Module):
    """Gated pointwise and depthwise convolution over time; callable after `fold`."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, INNER_EPS)
        self.open = nn.Conv1d(width, 2 * width, 1)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.batch_norm = nn.BatchNorm1d(width, INNER_EPS)
        self.close = nn.Conv1d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        x = fn.glu(self.opened(self.norm(x)))
        x = fn.gelu(self.depthwise(x.transpose(1, 2)))
        return self.closed(x.transpose(1, 2))  # type: ignore[no-any-return]

    def fold(self, dtype: torch.dtype) -> None:
        """Make the pointwise convolutions linear maps, and fold the batch normalisation into the depthwise one."""
        self.depthwise = fuse_conv_bn_eval(self.depthwise, self.batch_norm)
        self.opened = PackedLinear(self.open.weight[..., 0], self.open.bias, dtype)
        self.closed = PackedLinear(self.close.weight[..., 0], self.close.bias, dtype)
        del self.batch_norm, self.open, self.close
