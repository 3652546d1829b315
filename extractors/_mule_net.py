"""MULE's network in torch, arranged for speed, and its log-mel spectrogram.

SF-NFNet-F0 (Wang et al. 2021, arXiv:2111.12124) has no batch normalisation: the kernels of its convolutions are
standardised (`Standardized`), and activations are multiplied by constants that keep their variance. When the network
is loaded, all these factors become part of the kernels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as fn

from ._mel import mel_filters
from ._modules import NetModule
from ._mule_sizes import (
    BANDS,
    DEPTHS,
    FAST_STRIDE,
    FFT,
    FRAMES,
    FUSED,
    FUSION_STRIDE,
    HOP,
    RATE,
    SLOW_STRIDE,
    WIDTH,
    Sizes,
)
from ._transformer import Linear

GELU = 1.7015043497085571
"""Factor after each GELU: an input of variance 1 then has an output of variance 1."""
ALPHA = 0.2
"""Factor of the residual of each block."""
LEAST = 1e-4
"""Lowest sum of squares of a centred kernel that it is divided by."""
LEAST_DEVIATION = 0.01
"""Lowest standard deviation of a window's spectrogram that it is divided by."""


class MULENet(NetModule):
    """Waves (B, N) to one vector for each window and layer, (B, 1, D); see `Sizes.layers`."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        slow, fast = (list(channels) for channels in zip(*sizes.inputs, strict=True))
        self.slow = Pathway(sizes.slow_stem, (3, 1), SLOW_STRIDE, slow, sizes.slow, sizes.slow_group)
        self.fast = Pathway(sizes.fast_stem, (3, 3), FAST_STRIDE, fast, sizes.fast, sizes.fast_group)
        self.fusions = nn.ModuleList(
            nn.Sequential(Standardized(before, inner, (1, FUSED), (1, FUSION_STRIDE)), Standardized(inner, added))
            for before, inner, added in zip(fast, sizes.inner, sizes.fused, strict=True)
        )
        self.window: torch.Tensor | None = None
        self.filters: torch.Tensor | None = None

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map (B, N) to the last 300 standardised log-mel frames (B, 1, 96, T); waves end 200 samples after a frame."""
        if self.window is None or self.filters is None:
            self.window = torch.hann_window(WIDTH, device=waves.device)
            self.filters = torch.from_numpy(filters().astype(np.float32)).to(waves.device)
        # Frames are centred. The samples before the track are mirrored; a full window has none of these frames.
        pieces = fn.pad(waves, (WIDTH // 2, 0), mode="reflect").unfold(-1, WIDTH, HOP)[:, -FRAMES:]
        spectrum = torch.fft.rfft(pieces * self.window, FFT)
        power = self.filters @ (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)
        mel = torch.log10(10_000 * power + 1)
        deviation, mean = torch.std_mean(mel, (1, 2), correction=0, keepdim=True)
        return (((mel - mean) / deviation.clamp(min=LEAST_DEVIATION))[:, None],)

    def forward(self, mel: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the means over bands and frames of both paths after each stage, the last ones after a GELU."""
        mel = mel.contiguous(memory_format=torch.channels_last)
        slow, fast = self.slow.stem(mel), self.fast.stem(mel)
        for at, fusion in enumerate(self.fusions):
            slow = self.slow.stages[at](torch.cat([slow, fusion(fast)], 1))
            fast = self.fast.stages[at](fast)
            means = torch.cat([x.mean((2, 3), dtype=torch.float32) for x in (slow, fast)], 1)[:, None]
            yield means if at < len(DEPTHS) - 1 else GELU * fn.gelu(means)

    def optimize(self, dtype: torch.dtype) -> None:
        """Standardise the kernels and multiply them by all constants; `autocast` lowers the precision of products."""
        for path in (self.slow, self.fast):
            path.fold(dtype)
        for conv in (each for each in self.fusions.modules() if isinstance(each, Standardized)):
            conv.fold(dtype)


class Pathway(nn.Module):
    """One of the two paths: a stem and four stages."""

    def __init__(
        self, stem: int, kernel: tuple[int, int], stride: int, inputs: list[int], widths: tuple[int, ...], group: int
    ) -> None:
        super().__init__()
        a, b, c, d = (stem >> at for at in (3, 2, 1, 0))
        self.stem = nn.Sequential(
            Standardized(1, a, kernel, (2, stride), gelu=True),
            Standardized(a, b, kernel, gelu=True),
            Standardized(b, c, kernel, gelu=True),
            Standardized(c, d, (3, 3), (2, 2)),
        )  # fmt: skip
        self.stages = nn.ModuleList()
        for at, (depth, before, after) in enumerate(zip(DEPTHS, inputs, widths, strict=True)):
            first = Block(before, after, group, 2 if at else 1, transition=True)
            self.stages.append(nn.Sequential(first, *(Block(after, after, group) for _ in range(depth - 1))))

    def fold(self, dtype: torch.dtype) -> None:
        """Take the constants of the activations into the kernels."""
        for at, conv in enumerate(self.stem):
            conv.fold(dtype, GELU if at else 1.0)  # type: ignore[operator]
        for at, depth in enumerate(DEPTHS):
            deviation = (1 + ALPHA**2) ** 0.5 if at else 1.0  # that is expected of each block's input
            for number in range(depth):
                block: Block = self.stages[at][number]  # type: ignore[index]
                block.fold(dtype, 1 / deviation)
                deviation = (deviation**2 + ALPHA**2) ** 0.5


class Block(nn.Module):
    """A bottleneck with squeeze and excitation beside a connection past it; callable after `fold`."""

    def __init__(self, before: int, after: int, group: int, down: int = 1, *, transition: bool = False) -> None:
        super().__init__()
        mid = after // 2
        groups = mid // group
        self.convs = nn.ModuleList([
            Standardized(before, mid, gelu=True),
            Standardized(mid, mid, (1, 3), (down, 1), groups, gelu=True),
            Standardized(mid, mid, (3, 1), (1, 1), groups, gelu=True),
            Standardized(mid, after),
        ])  # fmt: skip
        self.skip = Standardized(before, after) if transition else None
        self.squeeze, self.excite = nn.Linear(after, mid), nn.Linear(mid, after)
        self.gain = nn.Parameter(torch.empty(()))
        self.down = down

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, before, F, T) to (B, after, F / down, T)."""
        residual = activated = fn.gelu(x)
        for conv in self.convs:
            residual = conv(residual)
        squeezed = residual.mean((2, 3), dtype=torch.float32)
        scale = self.factor * self.excite(self.squeeze(squeezed).relu()).float().sigmoid()
        if self.skip is not None:
            x = self.skip(fn.avg_pool2d(activated, (self.down, 1)) if self.down > 1 else activated)
        return torch.addcmul(x, residual, scale[..., None, None].to(residual.dtype))

    def fold(self, dtype: torch.dtype, beta: float) -> None:
        """Take the constants of the activations into the kernels; `beta` belongs to the first activation."""
        for at, conv in enumerate(self.convs):
            conv.fold(dtype, GELU if at else GELU * beta)  # type: ignore[operator]
        if self.skip is not None:
            self.skip.fold(dtype, GELU * beta)
        self.factor = 2 * ALPHA * self.gain  # the excitation is twice a sigmoid


class Standardized(nn.Module):
    """A convolution with zeros around it as TensorFlow pads for "same"; callable after `fold`.

    Each output channel's kernel is centred and divided by the root of its sum of squares, then multiplied by a gain.

    gelu : whether a GELU follows
    """

    def __init__(
        self,
        before: int,
        after: int,
        kernel: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        groups: int = 1,
        *,
        gelu: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(after, before // groups, *kernel))
        self.gain, self.bias = nn.Parameter(torch.empty(after)), nn.Parameter(torch.empty(after))
        self.kernel, self.stride, self.groups, self.gelu = kernel, stride, groups, gelu
        self.linear: Linear | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, before, F, T) to (B, after, ceil(F / stride), ceil(T / stride))."""
        if self.linear is not None:
            return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        around = [
            max((-(-size // step) - 1) * step + taps - size, 0)
            for size, taps, step in zip(x.shape[2:], self.kernel, self.stride, strict=True)
        ]
        if any(zeros % 2 for zeros in around):  # an odd number has its larger half at the end
            x = fn.pad(x, (0, around[1] % 2, 0, around[0] % 2))
        padding = [zeros // 2 for zeros in around]
        x = fn.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        return fn.gelu(x) if self.gelu else x

    def fold(self, dtype: torch.dtype, factor: float = 1.0) -> None:
        """Standardise the kernel in float64; multiply it by its gain and by `factor`."""
        weight = self.weight.cpu().double()
        centred = weight - weight.mean((1, 2, 3), keepdim=True)
        scale = centred.square().sum((1, 2, 3)).clamp(min=LEAST).rsqrt() * self.gain.cpu().double() * factor
        folded = (centred * scale[:, None, None, None]).float().to(self.weight.device)
        if self.kernel == (1, 1):
            self.linear = Linear(folded[:, :, 0, 0], self.bias, dtype, "gelu" if self.gelu else "none")
            del self.weight, self.bias
        else:
            self.weight = nn.Parameter(folded.contiguous(memory_format=torch.channels_last), requires_grad=False)
        del self.gain


def filters() -> NDArray[np.float64]:
    """Return the mel filters (96, 1025) from 0 to 8 kHz on HTK's scale, each of length 1 as a vector."""
    triangles = mel_filters(RATE, FFT, BANDS, scale="htk")
    return np.asarray(triangles / np.linalg.norm(triangles, axis=1, keepdims=True), np.float64)
