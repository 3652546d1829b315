"""Sizes of Dasheng's encoder: a vision transformer whose patches are columns of a mel spectrogram."""

from __future__ import annotations

from dataclasses import dataclass

from bench.protocols import Window

from ._checkpoint import Shapes
from ._mel import mel_activations
from ._vit_config import ViT

RATE, FFT, HOP, BANDS = 16_000, 512, 160, 64
WINDOW = Window(length=10 * RATE, hop=10 * RATE, shortest=RATE // 2, shortest_tail=RATE)
"""Windows of 10 s, as in training."""
FRAMES = 4
"""Frames of a patch; it spans all bands."""
PATCHES = 252
"""Positions in time for which the network has values."""


@dataclass(frozen=True)
class Config(ViT):
    """Sizes of the encoder (Dinkel et al. 2024, arXiv:2406.06992)."""

    def patches(self, samples: int) -> int:
        """Return the patches of a window; frames that fill none are dropped."""
        return (samples // HOP + 1) // FRAMES

    def tensors(self) -> Shapes:
        """Return every tensor that is used, under its published name."""
        d = self.width
        parts = ("weight", "bias", "running_mean", "running_var")
        return {
            **dict.fromkeys((f"init_bn.1.{part}" for part in parts), (BANDS,)),
            "patch_embed.proj.weight": (d, 1, BANDS, FRAMES),
            "patch_embed.proj.bias": (d,),
            "time_pos_embed": (1, d, 1, PATCHES),
            "freq_pos_embed": (1, d, 1, 1),
            **self.block_tensors(),
        }

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window."""
        patches = self.patches(samples)
        mel = (samples // HOP + 1) * (FFT // 2 + 1) * BANDS
        return 2 * (mel + patches * BANDS * FRAMES * self.width + self.block_operations(patches))

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the spectrogram, or of a block."""
        block = self.block_activations(self.patches(samples), width)
        return batch * max(mel_activations(samples, FFT, HOP), block)


BASE = Config(width=768, depth=12, heads=12)
LARGE = Config(width=1280, depth=32, heads=16)
HUGE = Config(width=1536, depth=40, heads=24)
TINY = Config(width=24, depth=2, heads=2)
