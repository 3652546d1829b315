"""Sizes of MULE's network. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

RATE = 16_000
FFT, WIDTH, HOP, BANDS, FRAMES = 2048, 400, 160, 96, 300
"""Samples of the spectrum, of its Hann window and between frames; mel bands; frames of a window."""
DEPTHS = (1, 2, 6, 3)
"""Blocks of each stage."""
SLOW_STRIDE, FAST_STRIDE = 8, 2
"""Strides over frames of the first convolution of each pathway; its stride over bands is 2."""
FUSED, FUSION_STRIDE = 7, 4
"""Taps and stride over frames of the convolution that leads from the fast path into the slow one."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of SF-NFNet-F0 (Wang et al. 2021); the defaults are MULE's.

    slow, fast : channels of the two paths after each of four stages
    slow_group, fast_group : channels of each group of a grouped convolution
    slow_stem, fast_stem : channels after the last of four convolutions; each of them doubles the channels
    fused : channels that come from the fast path into the slow one before each stage
    """

    slow: tuple[int, ...] = (256, 512, 1536, 1536)
    fast: tuple[int, ...] = (32, 64, 192, 192)
    slow_group: int = 128
    fast_group: int = 16
    slow_stem: int = 128
    fast_stem: int = 16
    fused: tuple[int, ...] = (128, 256, 512, 3072)

    @property
    def layers(self) -> dict[str, int]:
        """Layer id -> width: both paths after each stage, side by side."""
        widths = [slow + fast for slow, fast in zip(self.slow, self.fast, strict=True)]
        return {f"stage{at}": width for at, width in enumerate(widths[:-1], 1)} | {"embedding": widths[-1]}

    @property
    def inputs(self) -> list[tuple[int, int]]:
        """Channels before each stage: of the slow path after the fusion, and of the fast path."""
        slow, fast = (self.slow_stem, *self.slow[:-1]), (self.fast_stem, *self.fast[:-1])
        return [(before + added, other) for before, added, other in zip(slow, self.fused, fast, strict=True)]

    @property
    def inner(self) -> list[int]:
        """Channels between the two convolutions that lead from the fast path into the slow one, before each stage."""
        return [self.fast[0], *self.fast[:-1]]


def frames(samples: int) -> int:
    """Return the frames that the network hears of a window with its context, the last 300 at most."""
    return min(FRAMES, (samples - WIDTH // 2) // HOP + 1)
