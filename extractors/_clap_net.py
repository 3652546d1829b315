"""CLAP's audio tower in torch: log-mel image, patches, windows of patches, the joint space."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F  # noqa: N812

from ._clap_config import BANDS, FFT, FOLDS, HIGH, HOP, LOW, PATCH, RATE, SAMPLES, SIDE, Config
from ._mel import mel_filters
from ._spectrogram import MelPower, band_norm
from ._transformer import Attention, FeedForward, Linear, Norm, Tensors, linear

MASKED = -100.0
"""Added to the logits of patches that are neighbours only because the image was rolled."""


class CLAPNet:
    """Waves (B, N), 10 s at most, to the last patches (B, P, width) and the unit vectors (B, 1, joint).

    Parameters
    ----------
    tensors : as `Config.tensors` lists them, on the device to use; they are taken out of the dict
    dtype : of matrix products; the spectrogram is float32

    """

    def __init__(self, config: Config, tensors: Tensors, dtype: torch.dtype):
        device = tensors["norm.weight"].device
        self.mel = MelPower(mel_filters(RATE, FFT, BANDS, LOW, HIGH), HOP, device)
        self.scale, self.shift = band_norm(tensors, "batch_norm")
        patch = tensors.pop("patch_embed.proj.weight").flatten(1)
        self.patch = Linear(patch, tensors.pop("patch_embed.proj.bias"), dtype)
        self.first = Norm(tensors, "patch_embed.norm", config.channels)
        self.stages: list[_Block | _Merge] = []
        for stage, depth in enumerate(config.depths):
            self.stages += [_Block(config, tensors, stage, at, dtype) for at in range(depth)]
            if stage < len(config.depths) - 1:
                self.stages.append(_Merge(config, tensors, stage, dtype))
        self.last = Norm(tensors, "norm", config.width)
        up, down = "audio_projection.linear1", "audio_projection.linear2"
        self.joint = FeedForward(tensors, up, down, dtype, "relu")

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to the patches of an image (B, 4096, 16)."""
        return (self.image(self.log_mel(repeat_pad(waves))),)

    def __call__(self, image: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the last patches and the unit vectors."""
        x = self.first(self.patch(image))
        for stage in self.stages:
            x = stage(x)
        patches = self.last(x)
        yield patches
        yield F.normalize(self.joint(patches.mean(1)).float(), dim=-1)[:, None]

    def log_mel(self, waves: torch.Tensor) -> torch.Tensor:
        """Map (B, 480,000) to decibels (B, 1001, 64); the spectrogram is centred, the ends are reflected."""
        return 10 * torch.log10(self.mel(waves).clamp(min=1e-10))

    def image(self, mel: torch.Tensor) -> torch.Tensor:
        """Map (B, 1001, 64) to patches (B, 4096, 16) of a square image; frames are interpolated to 1024."""
        mel = mel * self.scale + self.shift
        size = (FOLDS * SIDE, BANDS)
        mel = F.interpolate(mel[:, None], size, mode="bicubic", align_corners=True)[:, 0]
        square = mel.view(-1, FOLDS, SIDE, BANDS).mT.reshape(-1, SIDE, SIDE)
        count = SIDE // PATCH
        return square.view(-1, count, PATCH, count, PATCH).transpose(2, 3).reshape(-1, count**2, PATCH**2)


def repeat_pad(waves: torch.Tensor) -> torch.Tensor:
    """Repeat (B, N) as often as it fits into 10 s, then pad with zeros."""
    waves = waves.repeat(1, SAMPLES // waves.shape[1])
    return F.pad(waves, (0, SAMPLES - waves.shape[1]))


class _Block:
    """Attention inside windows of patches, then a feed-forward net (Liu et al. 2021, arXiv:2103.14030)."""

    def __init__(self, config: Config, tensors: Tensors, stage: int, at: int, dtype: torch.dtype):
        name, width, heads = f"layers.{stage}.blocks.{at}", config.channels << stage, config.heads[stage]
        self.side, self.window, self.shift = config.side(stage), config.window, config.shift(stage, at)
        table = tensors.pop(f"{name}.attention.self.relative_position_bias_table")
        bias = table[_relative(self.window).to(table.device)].permute(2, 0, 1).contiguous()  # (heads, W², W²)
        rolled = _roll_mask(self.side, self.window, self.shift) if self.shift else torch.zeros(1, 1, 1)
        self.mask = bias + rolled.to(table.device)[:, None]  # (windows or 1, heads, W², W²)
        names = ("self.query", "self.key", "self.value", "output.dense")
        self.attention = Attention(tensors, f"{name}.attention", heads, dtype, names)
        self.feed = FeedForward(tensors, f"{name}.intermediate.dense", f"{name}.output.dense", dtype)
        self.before = Norm(tensors, f"{name}.layernorm_before", width)
        self.after = Norm(tensors, f"{name}.layernorm_after", width)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, side², C) to the same."""
        batch, count, width = x.shape
        square = self.before(x).view(batch, self.side, self.side, width)
        if self.shift:
            square = square.roll((-self.shift, -self.shift), (1, 2))
        y = self.attention(_cut(square, self.window), self.mask)
        square = _join(y, self.side, self.window)
        if self.shift:
            square = square.roll((self.shift, self.shift), (1, 2))
        x = x + square.reshape(batch, count, width)
        return x + self.feed(self.after(x))


class _Merge:
    """Merging of four neighbouring patches into one with twice the channels."""

    def __init__(self, config: Config, tensors: Tensors, stage: int, dtype: torch.dtype):
        name, self.side = f"layers.{stage}.downsample", config.side(stage)
        self.norm = Norm(tensors, f"{name}.norm", 4 * (config.channels << stage))
        self.reduce = linear(tensors, f"{name}.reduction", dtype=dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, side², C) to (B, side² / 4, 2 C)."""
        half = self.side // 2
        square = x.view(len(x), half, 2, half, 2, -1).permute(0, 1, 3, 4, 2, 5)  # columns come before rows
        return self.reduce(self.norm(square.reshape(len(x), half * half, -1))).float()


def _cut(square: torch.Tensor, window: int) -> torch.Tensor:
    """Cut (B, side, side, C) into windows (B * windows, W², C)."""
    count = square.shape[1] // window
    tiles = square.view(-1, count, window, count, window, square.shape[-1]).transpose(2, 3)
    return tiles.reshape(-1, window * window, square.shape[-1])


def _join(tiles: torch.Tensor, side: int, window: int) -> torch.Tensor:
    """Undo `_cut`."""
    count = side // window
    square = tiles.view(-1, count, count, window, window, tiles.shape[-1]).transpose(2, 3)
    return square.reshape(-1, side, side, tiles.shape[-1])


def _relative(window: int) -> torch.Tensor:
    """Return the row of the bias table (W², W²) for each pair of patches of a window."""
    row, column = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
    rows, columns = (axis[:, None] - axis + window - 1 for axis in (row, column))
    return rows * (2 * window - 1) + columns


def _roll_mask(side: int, window: int, shift: int) -> torch.Tensor:
    """Return 0 or `MASKED` (windows, W², W²) for each pair of patches of each window of a rolled image."""
    at = torch.arange(side)
    region = (at >= side - window).long() + (at >= side - shift).long()
    tiles = _cut((3 * region[:, None] + region)[None, :, :, None], window)[..., 0]
    return torch.where(tiles[:, :, None] == tiles[:, None], 0.0, MASKED)
