"""Sizes of aiSFX's network, its tensors and operations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ._checkpoint import Shapes
from ._config import NetworkConfig

RATE = 44_100
FFT, HOP, BANDS, FRAMES = 2048, 1024, 96, 100
"""Samples of the spectrum's window and between frames; mel bands; frames of a patch."""
STATISTICS = ("weight", "bias", "running_mean", "running_var")
"""Tensors of a batch normalisation."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the network (Ma & Lerch 2022); the default is the published one.

    channels : of the first of four blocks; each block doubles them
    """

    channels: int = 64

    @property
    def width(self) -> int:
        """Channels of the last block."""
        return 8 * self.channels

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Channels before and after each block."""
        return list(pairwise([1, *(self.channels << at for at in range(4))]))

    def tensors(self) -> Shapes:
        """Return name -> shape of every tensor, under its published name without ``embedding_net.``."""
        out: dict[str, tuple[int, ...]] = {}
        for number, (before, after) in enumerate(self.blocks, 1):
            for at, inputs in ((1, before), (2, after)):
                out[f"conv_block{number}.conv{at}.weight"] = (after, inputs, 3, 3)
                out |= {f"conv_block{number}.bn{at}.{name}": (after,) for name in STATISTICS}
        return out

    def unused(self) -> tuple[str, ...]:
        """Return the beginnings of the names of all other published tensors: classifiers and counters."""
        counters = (f"conv_block{number}.bn{at}.num_batches_tracked" for number in range(1, 5) for at in (1, 2))
        return ("fc.", *counters)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one patch, whatever its length: fewer frames are filled up with silence."""
        total = FRAMES * (FFT // 2 + 1) * BANDS
        for at, (before, after) in enumerate(self.blocks):
            total += (FRAMES >> at) * (BANDS >> at) * 9 * after * (before + after)
        return 2 * total

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the spectrogram, or of the two convolutions of the first block."""
        front = FRAMES * (FFT * 4 + (FFT // 2 + 1) * (8 + 2 * 4))  # windowed samples; spectra and their squares
        return batch * max(front, 2 * FRAMES * BANDS * self.channels * width)


FULL = Config()
TINY = Config(channels=4)
