"""MERT-v2's network: MusicFM's spectrogram, stages of ConvNeXt V2 that leave 25 frames a second, a conformer.

ConvNeXt V2: Woo et al. 2023, arXiv:2301.00808, over time instead of images. The conformer's blocks differ from
MusicFM's in their activations (GELU), in the norm of the convolution (over channels), and in that queries and keys are
rotated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional as fn

from ._conformer import Attention, Block, Convolution, FeedForward, rotation
from ._modules import NetModule
from ._musicfm_net import DecibelMel
from ._packed_linear import PackedLinear, pack

FRONT_EPS = 1e-6
"""Epsilon of the norms in the front end; the conformer's is torch's 1e-5."""


class MERT2Net(NetModule):
    """Waves (B, N) to the states (B, T, width) after each block, T = floor(N / 960)."""

    def __init__(
        self,
        *,
        mels: int,
        middle: int,
        stages: Sequence[int],
        width: int,
        depth: int,
        heads: int,
        ffn: int,
        kernel: int,
        strides: Sequence[int],
        span: int,
        ratio: int,
    ) -> None:
        super().__init__()
        self.head = width // heads
        self.mel = DecibelMel(mels, per_band=True)
        widths = (mels, mels, middle, width)
        self.stages = nn.ModuleList(
            Stage(before, after, stride, layers, span, ratio)
            for before, after, stride, layers in zip(widths, widths[1:], strides, stages, strict=False)
        )
        self.layers = nn.ModuleList(GELUBlock(width, heads, ffn, kernel) for _ in range(depth))

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to the standardised spectrogram (B, floor(N / 240), mels)."""
        return (torch.cat([self.mel(wave[None]) for wave in waves]).mT,)  # clip by clip, to save memory

    def forward(self, mel: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the states after each block."""
        x = torch.cat([self._subsampled(one[None]) for one in mel])
        turn = rotation(x.shape[1], self.head, x.device)
        for block in self.layers:
            x = block(x, *turn)
            yield x

    def optimize(self, dtype: torch.dtype) -> None:
        """Make pointwise convolutions linear maps, and pack these."""
        for module in list(self.modules()):
            if isinstance(module, Convolution):
                module.fold(dtype)
        pack(self, dtype)

    def _subsampled(self, x: torch.Tensor) -> torch.Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


class Stage(nn.Module):
    """A norm and a convolution that leave every second frame, where `stride` is 2; then layers of ConvNeXt V2."""

    def __init__(self, before: int, width: int, stride: int, layers: int, span: int, ratio: int) -> None:
        super().__init__()
        if stride > 1:
            self.norm, self.resample = nn.LayerNorm(before, FRONT_EPS), nn.Conv1d(before, width, stride, stride)
        self.stride = stride
        self.layers = nn.ModuleList(ConvNeXt(width, span, ratio) for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, before) to (B, floor(T / stride), width)."""
        if self.stride > 1:
            x = self.resample(self.norm(x).mT).mT
        for layer in self.layers:
            x = layer(x)
        return x


class ConvNeXt(nn.Module):
    """A convolution of each channel over time, and a feed-forward net with a response norm."""

    def __init__(self, width: int, span: int, ratio: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, span, padding=span // 2, groups=width)
        self.norm, self.up = nn.LayerNorm(width, FRONT_EPS), nn.Linear(width, ratio * width)
        self.response, self.down = ResponseNorm(ratio * width), nn.Linear(ratio * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        y = self.norm(self.depthwise(x.mT).mT)
        return x + self.down(self.response(fn.gelu(self.up(y))))  # type: ignore[no-any-return]


class ResponseNorm(nn.Module):
    """Weigh channels by their size over all frames of the window, relative to the mean of all channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape, in float32."""
        x = x.float()
        size = x.norm(dim=1, keepdim=True)
        gain = 1 + self.weight * size / (size.mean(dim=-1, keepdim=True) + 1e-6)
        return torch.addcmul(self.bias, x, gain)


class GELUBlock(Block):
    """A conformer's block with the parts below."""

    def __init__(self, width: int, heads: int, ffn: int, kernel: int) -> None:
        super().__init__(width, heads, ffn, kernel)
        self.ffn1, self.ffn2 = GELUFeedForward(width, ffn), GELUFeedForward(width, ffn)
        self.self_attn = RotaryAttention(width, heads)
        self.conv_module = NormedConvolution(width, kernel)


class GELUFeedForward(FeedForward):
    """Two linear maps around a GELU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        return self.output_dense(fn.gelu(self.intermediate_dense(x)))  # type: ignore[no-any-return]


class RotaryAttention(Attention):
    """Self-attention over all frames; queries and keys are rotated."""

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        value = self._split(self.linear_v(x))
        parts = [value]
        for linear in (self.linear_k, self.linear_q):
            low, high = (part := self._split(linear(x))).chunk(2, dim=-1)
            parts.insert(0, (part * cos + torch.cat([-high, low], dim=-1) * sin).to(value.dtype))
        query, key, value = (part.transpose(1, 2) for part in parts)
        mixed = fn.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self.linear_out(mixed)  # type: ignore[no-any-return]


class NormedConvolution(Convolution):
    """Gated pointwise and depthwise convolution over time with a norm over channels; callable after `fold`."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__(width, kernel)
        del self.batch_norm
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        x = fn.glu(self.open(self.layer_norm(x)))
        return self.close(fn.gelu(self.norm(self.depthwise_conv(x.mT).mT)))  # type: ignore[no-any-return]

    def fold(self, dtype: torch.dtype) -> None:
        """Make the pointwise convolutions linear maps."""
        self.open = PackedLinear(self.pointwise_conv1.weight[..., 0], None, dtype)
        self.close = PackedLinear(self.pointwise_conv2.weight[..., 0], None, dtype)
        del self.pointwise_conv1, self.pointwise_conv2
