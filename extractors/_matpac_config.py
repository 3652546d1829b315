"""Sizes of MATPAC++'s encoder: a vision transformer over square patches of a mel spectrogram."""

from __future__ import annotations

from dataclasses import dataclass

from bench.protocols import Window

from ._checkpoint import Shapes
from ._mel import mel_activations
from ._vit_config import ViT

RATE, FFT, HOP, BANDS = 16_000, 400, 160, 80
PATCH = 16
"""Bands, and frames, of a patch."""
ROWS, COLUMNS = BANDS // PATCH, 38
"""Patches of a column, and columns in time for which there are positions: 6.08 s."""
FRAMES = COLUMNS * PATCH
WINDOW = Window(length=(FRAMES - 1) * HOP + FFT, hop=FRAMES * HOP, shortest=(PATCH - 1) * HOP + FFT, shortest_tail=FFT)
"""Frame t covers the samples from 160 t on: the frames of all windows are those of the whole recording."""


@dataclass(frozen=True)
class Config(ViT):
    """Sizes of the encoder (Quelennec et al. 2025, arXiv:2508.12709)."""

    def tokens(self, samples: int) -> int:
        """Return the patches of a window and the class token; the last column is filled up."""
        frames = (samples - FFT) // HOP + 1
        return 1 + ROWS * -(-frames // PATCH)

    def tensors(self) -> Shapes:
        """Return every tensor that is used, under its published name without the prefix of the encoder."""
        d = self.width
        return {
            "patch_embed.proj.weight": (d, 1, PATCH, PATCH),
            "patch_embed.proj.bias": (d,),
            "cls_token": (1, 1, d),
            "pos_embed": (1, 1 + ROWS * COLUMNS, d),
            **self.block_tensors(),
        }

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window."""
        tokens = self.tokens(samples)
        mel = ((samples - FFT) // HOP + 1) * (FFT // 2 + 1) * BANDS
        return 2 * (mel + (tokens - 1) * PATCH * PATCH * self.width + self.block_operations(tokens))

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the spectrogram, or of a block."""
        block = self.block_activations(self.tokens(samples), width)
        return batch * max(mel_activations(samples, FFT, HOP), block)


FULL = Config(width=768, depth=12, heads=12)
TINY = Config(width=24, depth=2, heads=2)
