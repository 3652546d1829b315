"""Jukebox's encoder and the lower half of its prior (Dhariwal et al. 2020, arXiv:2005.00341), for any length of clip.

Every step depends on the past alone, so a clip shorter than the context has the states of the first tokens of a
longer one. Within a block and within the VQ-VAE's encoder, tensors have their published names.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as fn

from ._modules import NetModule

DOWN = (3, 2, 2)
"""How often each block of the VQ-VAE's top encoder halves the rate: 128 samples a token."""


class JukeboxNet(NetModule):
    """Waves (B, N) at 44.1 kHz to the residual stream (B, T, width) after each block, T = min(N // 128, context)."""

    def __init__(
        self, width: int, depth: int, heads: int, context: int, block: int, codes: int, channels: int, features: int
    ) -> None:
        super().__init__()
        inputs = (1, *[features] * (len(DOWN) - 1))
        self.encoder = nn.ModuleList(
            Down(before, channels, features, steps) for before, steps in zip(inputs, DOWN, strict=True)
        )
        self.codes = nn.Parameter(torch.zeros(codes, features))
        self.tokens = nn.Parameter(torch.zeros(codes, width))
        self.start = nn.Parameter(torch.zeros(width))
        """Input before the first token: the embedding of an unknown artist and genre."""
        self.positions = nn.Parameter(torch.zeros(context, width))
        """Learned positions plus the embeddings of time for a clip at the start of a song."""
        self.blocks = nn.ModuleList(Block(width, heads, block, pattern=number % 3) for number in range(depth))
        self.context, self.block = context, block
        self.dtype = torch.float32

    def optimize(self, dtype: torch.dtype) -> None:
        """Run the residual stream in `dtype`; matrices keep their type and are cast when they are used."""
        self.dtype = dtype

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to tokens (B, T)."""
        return (torch.cat([self.quantise(wave[None]) for wave in waves]),)

    def forward(self, tokens: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the stream after each block, in `dtype`."""
        count = tokens.shape[1]
        padded = fn.pad(tokens, (0, -count % self.block))  # to whole blocks; no other token depends on the padding
        before = fn.embedding(padded[:, :-1], self.tokens)
        x = torch.cat([self.start.expand(len(tokens), 1, -1), before], dim=1) + self.positions[: padded.shape[1]]
        x = x.to(self.dtype)
        for block in self.blocks:
            # Clip by clip: one context is enough work for any device, and memory is scarce.
            x = torch.cat([block(clip[None]) for clip in x])
            yield x[:, :count]

    def quantise(self, waves: torch.Tensor) -> torch.Tensor:
        """Map (B, N) to the nearest codes (B, T)."""
        x = waves[:, None]
        for part in self.encoder:
            x = part(x)
        x = x[..., : self.context].transpose(1, 2)
        distance = x.square().sum(-1, keepdim=True) - 2 * x @ self.codes.T + self.codes.square().sum(-1)
        return distance.argmin(-1)


class Down(nn.Module):
    """Halvings of the rate, each followed by dilated residual convolutions."""

    def __init__(self, before: int, channels: int, after: int, steps: int) -> None:
        super().__init__()
        halves = [
            nn.Sequential(nn.Conv1d(before if step == 0 else channels, channels, 4, 2, 1), Dilated(channels))
            for step in range(steps)
        ]
        self.model = nn.Sequential(*halves, nn.Conv1d(channels, after, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, before, T) to (B, after, T / 2**steps)."""
        return self.model(x)  # type: ignore[no-any-return]


class Dilated(nn.Module):
    """Four residual pairs of convolutions with dilations 1, 3, 9 and 27."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*(Pair(channels, 3**power) for power in range(4)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, T) to the same."""
        return self.model(x)  # type: ignore[no-any-return]


class Pair(nn.Module):
    """A dilated and a pointwise convolution, added to their input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        wide = nn.Conv1d(channels, channels, 3, 1, dilation, dilation)
        self.model = nn.Sequential(nn.ReLU(), wide, nn.ReLU(), nn.Conv1d(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, T) to the same."""
        return x + self.model(x)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention, then a feed-forward net over input plus attention; both are added to the input."""

    def __init__(self, width: int, heads: int, block: int, pattern: int) -> None:
        super().__init__()
        self.ln_0, self.ln_1 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width, heads, block, pattern), FeedForward(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same; norms are computed in float32."""
        a = self.attn(self.ln_0(x.float()).to(x.dtype))
        m = self.mlp(self.ln_1((x + a).float()).to(x.dtype))
        return x + a + m  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Sparse attention over blocks of tokens (Child et al. 2019, arXiv:1904.10509), in one of three patterns.

    0: earlier tokens of the block; 1: the tokens at the same place of earlier blocks; 2: all tokens of the
    previous block, zeros for the first block.
    """

    def __init__(self, width: int, heads: int, block: int, pattern: int) -> None:
        super().__init__()
        state = width // 4
        self.c_attn, self.c_proj = Map(width, 3 * state), Map(state, width)
        self.heads, self.block, self.pattern = heads, block, pattern

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same; T is a multiple of the block."""
        # (3, B, blocks, heads, tokens of a block, width of a head), or with tokens and blocks exchanged
        parts = self.c_attn(x).view(len(x), -1, self.block, 3, self.heads, x.shape[-1] // 4 // self.heads)
        parts = parts.permute(3, 0, 2, 4, 1, 5) if self.pattern == 1 else parts.permute(3, 0, 1, 4, 2, 5)
        query, key, value = parts.unbind()
        if self.pattern == 2:
            key, value = (fn.pad(part[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0)) for part in (key, value))
        shape = query.shape
        # Fused kernels of GPUs take one dimension of batches.
        query, key, value = (part.flatten(0, 1) for part in (query, key, value))
        mixed = fn.scaled_dot_product_attention(query, key, value, is_causal=self.pattern != 2).view(shape)
        mixed = mixed.permute(0, 3, 1, 2, 4) if self.pattern == 1 else mixed.permute(0, 1, 3, 2, 4)
        return self.c_proj(mixed.reshape(*x.shape[:2], -1))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two maps around x sigmoid(1.702 x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = Map(width, width), Map(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same."""
        x = self.c_fc(x)
        return self.c_proj(x * torch.sigmoid(1.702 * x))  # type: ignore[no-any-return]


class Map(nn.Module):
    """A linear map whose matrix is (inputs, outputs) and is cast to the type of the input."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.zeros(before, after)), nn.Parameter(torch.zeros(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., inputs) to (..., outputs)."""
        # A CPU multiplies half floats very slowly: it rounds their float32 product instead, as a GPU does.
        inner = torch.float32 if x.device.type == "cpu" else x.dtype
        product = torch.addmm(self.b.to(x.dtype).to(inner), x.flatten(0, -2).to(inner), self.w.to(inner))
        return product.to(x.dtype).view(*x.shape[:-1], -1)
