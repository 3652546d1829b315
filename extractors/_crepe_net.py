"""CREPE's network in torch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as fn

from ._crepe_config import FRAME, STATISTICS, STRIDE, Config

EPSILON = 0.0010000000474974513
"""Epsilon of every batch normalisation: Keras's default as float32."""
SILENCE = 1e-10
"""Lowest deviation by which a frame is divided."""


class CREPENet:
    """Waves to the last hidden layer (B, F, width) and the pitches (B, F, 360).

    Parameters
    ----------
    tensors : as `Config.tensors` lists them, on the device to use; they are taken out of the dict

    """

    def __init__(self, config: Config, tensors: dict[str, torch.Tensor]):
        self.config = config
        self.blocks = [_block(tensors, number) for number in range(1, len(config.channels) + 1)]
        self.weight, self.bias = tensors.pop("classifier.weight"), tensors.pop("classifier.bias")

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map (B, N) to frames (B, F, 1024) of mean 0 and deviation 1."""
        frames = waves.unfold(-1, FRAME, self.config.hop)
        frames = frames - frames.mean(-1, keepdim=True)
        return (frames / frames.std(-1, keepdim=True).clamp_min(SILENCE),)

    def __call__(self, frames: torch.Tensor) -> Iterator[torch.Tensor]:
        """Map frames (B, F, 1024) to what the classifier hears, (B, F, width), and what it says, (B, F, 360)."""
        x = frames.reshape(-1, 1, 1, FRAME)
        for number, (weight, bias, scale, shift) in enumerate(self.blocks):
            x = fn.pad(x, (31, 32) if number else (254, 254)).contiguous(memory_format=torch.channels_last)
            x = fn.conv2d(x, weight, bias, stride=(1, 1 if number else STRIDE)).relu_()
            # A gain may be negative, so that the maximum is taken of the normalised values.
            x = fn.max_pool2d(x.mul_(scale).add_(shift), (1, 2))
        hidden = x[:, :, 0].transpose(1, 2).reshape(*frames.shape[:2], -1)  # places, then channels
        yield hidden.float()
        yield fn.linear(hidden, self.weight, self.bias).float().sigmoid()


def _block(tensors: dict[str, torch.Tensor], number: int) -> tuple[torch.Tensor, ...]:
    """Return weight and bias of a convolution, and scale and shift of the normalisation behind it."""
    weight = tensors.pop(f"conv{number}.weight").transpose(2, 3)  # along the last axis, where time is
    gamma, beta, mean, variance = (tensors.pop(f"conv{number}_BN.{name}").double() for name in STATISTICS)
    scale = gamma / (variance + EPSILON).sqrt()
    folded = (each.float()[:, None, None] for each in (scale, beta - mean * scale))
    return weight.contiguous(memory_format=torch.channels_last), tensors.pop(f"conv{number}.bias"), *folded
