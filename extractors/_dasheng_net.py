"""Dasheng's encoder in torch: decibels of mel bands, patches of four frames, a vision transformer."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ._dasheng_config import BANDS, FFT, FRAMES, HOP, RATE, Config
from ._mel import mel_filters
from ._spectrogram import MelPower, band_norm
from ._transformer import Linear, Tensors
from ._vit_net import Blocks

FLOOR, RANGE = 1e-10, 120.0
"""Lowest power; decibels below the loudest value of a window at which its levels are cut off."""


class DashengNet:
    """Waves (B, N), 10.08 s at most, to the states of every layer (B, P, width).

    Parameters
    ----------
    tensors : as `Config.tensors` lists them, on the device to use; they are taken out of the dict
    dtype : of matrix products; the spectrogram is float32

    """

    def __init__(self, config: Config, tensors: Tensors, dtype: torch.dtype):
        device = tensors["norm.weight"].device
        self.mel = MelPower(mel_filters(RATE, FFT, BANDS, scale="htk"), HOP, device)
        self.scale, self.shift = band_norm(tensors, "init_bn.1")
        weight = tensors.pop("patch_embed.proj.weight")[:, 0].mT.flatten(1)  # (D, frames * bands)
        self.patch = Linear(weight, tensors.pop("patch_embed.proj.bias"), dtype)
        positions = tensors.pop("time_pos_embed") + tensors.pop("freq_pos_embed")
        self.positions = positions[0, :, 0].T.contiguous()
        self.blocks = Blocks(config, tensors, dtype)

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to normalised patches (B, P, 256)."""
        level = 10 * self.mel(waves).clamp(min=FLOOR).log10()
        level = torch.maximum(level, level.amax((1, 2), keepdim=True) - RANGE)
        count = level.shape[1] // FRAMES
        return ((level[:, : count * FRAMES] * self.scale + self.shift).view(len(level), count, FRAMES * BANDS),)

    def __call__(self, patches: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the patches with their positions, then the state after each block."""
        x = self.patch(patches).float() + self.positions[: patches.shape[1]]
        yield x
        yield from self.blocks(x)
