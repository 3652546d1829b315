"""MATPAC++'s encoder in torch: logarithms of mel bands, square patches, a vision transformer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F  # noqa: N812

from ._matpac_config import BANDS, COLUMNS, FFT, HOP, PATCH, RATE, ROWS, Config
from ._mel import mel_filters
from ._spectrogram import MelPower
from ._transformer import Linear, Tensors
from ._vit_net import Blocks

FLOOR = torch.finfo(torch.float32).eps
"""Added to the power before the logarithm."""
MEAN, DEVIATION = -7.056, 4.193
"""Of the levels in the training set."""


class MATPACNet:
    """Waves (B, N), 6.08 s at most, to the states of every layer (B, columns, rows * width).

    Parameters
    ----------
    tensors : as `Config.tensors` lists them, on the device to use; they are taken out of the dict
    dtype : of matrix products; the spectrogram is float32

    """

    def __init__(self, config: Config, tensors: Tensors, dtype: torch.dtype):
        device = tensors["norm.weight"].device
        self.mel = MelPower(mel_filters(RATE, FFT, BANDS, low=50), HOP, device, centred=False)
        weight = tensors.pop("patch_embed.proj.weight").flatten(1)  # (D, bands * frames)
        self.patch = Linear(weight, tensors.pop("patch_embed.proj.bias"), dtype)
        positions = tensors.pop("pos_embed")
        self.first = tensors.pop("cls_token") + positions[:, :1]
        self.positions = positions[:, 1:].view(1, ROWS, COLUMNS, config.width)
        self.blocks = Blocks(config, tensors, dtype)

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to patches (B, rows, columns, bands * frames); the last column is filled up with zeros."""
        level = ((self.mel(waves) + FLOOR).log() - MEAN) / DEVIATION
        level = F.pad(level, (0, 0, 0, -level.shape[1] % PATCH))
        parts = level.view(len(level), -1, PATCH, ROWS, PATCH)  # columns, their frames, rows, their bands
        return (parts.permute(0, 3, 1, 4, 2).flatten(3),)

    def __call__(self, patches: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the state after each block; the rows of a column, lowest bands first, are one vector."""
        columns = patches.shape[2]
        x = self.patch(patches).float() + self.positions[:, :, :columns]
        x = torch.cat([self.first.expand(len(x), -1, -1), x.flatten(1, 2)], dim=1)
        for state in self.blocks(x):
            yield state[:, 1:].reshape(len(x), ROWS, columns, -1).transpose(1, 2).flatten(2)
