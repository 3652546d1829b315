"""The network of `_wav2vec_config.Config` in torch, frames along the second axis and channels along the last."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F  # noqa: N812

from bench.devices import has_float64
from bench.errors import BenchError

from ._checkpoint import folded
from ._transformer import Attention, Block, FeedForward, Norm, Tensors, linear
from ._wav2vec_config import KERNELS, STRIDES, Config

EPSILON = 1e-5
"""Epsilon of every norm."""


class Wav2VecNet:
    """Waves (B, N) to the states of every layer (B, F, width).

    Parameters
    ----------
    tensors : as `Config.tensors` lists them, on the device to use; they are taken out of the dict
    dtype : of matrix products and convolutions except the first, which needs the samples in float32

    """

    def __init__(self, config: Config, tensors: Tensors, dtype: torch.dtype):
        tensors.pop("masked_spec_embed")  # needed in training only
        self.first = _First(config, tensors)
        self.convs = [_Conv(config, tensors, at, dtype) for at in range(1, len(KERNELS))]
        self.norm = Norm(tensors, "feature_projection.layer_norm", config.channels, EPSILON)
        self.project = linear(tensors, "feature_projection.projection", dtype=dtype)
        self.position = _position(config, tensors, dtype)
        self.norm_all = Norm(tensors, "encoder.layer_norm", config.width, EPSILON)
        self.before = config.before
        self.blocks = [_block(config, tensors, f"encoder.layers.{at}", dtype) for at in range(config.layers)]

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to the output of the first convolution (B, F, C)."""
        return (self.first(waves),)

    def __call__(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the input of the first block (B, F, D) and the output of each block."""
        for conv in self.convs:
            x = conv(x)
        x = self.project(self.norm(x)).float()
        y = x
        for convolve in self.position:
            y = convolve(y)
        x = x + y if self.before else self.norm_all(x + y)
        yield x
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if self.before and number == len(self.blocks):
                x = self.norm_all(x)
            yield x


class _First:
    """The first convolution, its norm and GELU, in float32.

    A norm over time needs the mean and variance of every channel. Channels are linear in the K samples under
    the kernel, so both follow from the mean (K,) and covariance (K, K) of these samples, computed in float64. The
    norm is folded into the kernels of each window before any channel is computed.
    """

    def __init__(self, config: Config, tensors: Tensors):
        name = "feature_extractor.conv_layers.0"
        self.weight = tensors.pop(f"{name}.conv.weight")[:, 0].float()  # (C, K)
        self.over_time = config.front == "group"
        if self.over_time:
            if not has_float64(device := str(self.weight.device)):
                raise BenchError(f"the first norm needs float64, and {device} has none: use --device cpu.")
            self.gain = tensors.pop(f"{name}.layer_norm.weight").double()
            self.shift = tensors.pop(f"{name}.layer_norm.bias").double()
        else:
            self.norm = Norm(tensors, f"{name}.layer_norm", config.channels, EPSILON)

    def __call__(self, waves: torch.Tensor) -> torch.Tensor:
        """Map (B, T) to (B, F, C)."""
        pieces = waves.unfold(-1, KERNELS[0], STRIDES[0])  # (B, F, K), no copy
        if not self.over_time:
            return F.gelu(self.norm(pieces @ self.weight.T))
        wide = pieces.double()
        middle = wide.mean(1)  # (B, K)
        wide = wide - middle[:, None]
        covariance = wide.mT @ wide / wide.shape[1]
        kernels = self.weight.double()
        variance = ((kernels @ covariance) * kernels).sum(-1)  # (B, C)
        scale = self.gain / (variance + EPSILON).sqrt()
        shift = self.shift - scale * (middle @ kernels.T)
        return F.gelu(torch.baddbmm(shift[:, None].float(), pieces, (scale[..., None] * kernels).float().mT))


class _Conv:
    """A later convolution of the front end: no bias, a norm or none, GELU."""

    def __init__(self, config: Config, tensors: Tensors, at: int, dtype: torch.dtype):
        name = f"feature_extractor.conv_layers.{at}"
        self.dtype, self.stride = dtype, (1, STRIDES[at])
        self.weight = _channels_last(tensors.pop(f"{name}.conv.weight").to(dtype))
        self.norm = Norm(tensors, f"{name}.layer_norm", config.channels, EPSILON) if config.front == "layer" else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, F, C) to (B, F', C)."""
        y = F.conv2d(x.to(self.dtype).mT[:, :, None], self.weight, stride=self.stride)[:, :, 0].mT
        return F.gelu(y if self.norm is None else self.norm(y))


class _Position:
    """A positional convolution that keeps the length: an even kernel reaches one frame further back than ahead."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, groups: int, norm: Norm | None, dtype: torch.dtype):
        self.dtype, self.groups, self.norm = dtype, groups, norm
        self.weight, self.bias = _channels_last(weight.to(dtype)), bias.to(dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, F, D) to the same."""
        padding = (0, self.weight.shape[-1] // 2)
        y = F.conv2d(x.to(self.dtype).mT[:, :, None], self.weight, self.bias, padding=padding, groups=self.groups)
        y = y[:, :, 0, : x.shape[1]].mT
        return F.gelu(y.float() if self.norm is None else self.norm(y))


def _position(config: Config, tensors: Tensors, dtype: torch.dtype) -> list[_Position]:
    name = "encoder.pos_conv_embed"
    if len(config.position) == 1:
        weight = folded(tensors, f"{name}.conv.weight", 2)
        return [_Position(weight, tensors.pop(f"{name}.conv.bias"), config.groups, None, dtype)]
    plain = Norm(None, "", config.width, EPSILON)
    return [
        _Position(tensors.pop(f"{name}.layers.{at}.conv.weight"), tensors.pop(f"{name}.layers.{at}.conv.bias"),
                  config.groups, plain, dtype)
        for at in range(len(config.position))
    ]  # fmt: skip


def _block(config: Config, tensors: Tensors, name: str, dtype: torch.dtype) -> Block:
    up, down = f"{name}.feed_forward.intermediate_dense", f"{name}.feed_forward.output_dense"
    return Block(
        Attention(tensors, f"{name}.attention", config.heads, dtype),
        Norm(tensors, f"{name}.layer_norm", config.width, EPSILON),
        FeedForward(tensors, up, down, dtype),
        Norm(tensors, f"{name}.final_layer_norm", config.width, EPSILON),
        before=config.before,
    )


def _channels_last(weight: torch.Tensor) -> torch.Tensor:
    """Return the kernels (out, in, K) of a convolution as (out, in, 1, K), channels last."""
    return weight[:, :, None].contiguous(memory_format=torch.channels_last)
