"""Sizes of MULE's network, its tensors and operations. Imports torch only to build it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig

if TYPE_CHECKING:
    from ._mule_net import MULENet

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
class Config(NetworkConfig):
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

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: spectrogram filters, convolutions, squeeze and excitation."""
        return 2 * sum(count for count, _ in self._work(frames(samples)))

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the spectrogram, or of the widest block."""
        length = frames(samples)
        front = length * (4 * WIDTH + 8 * (FFT // 2 + 1) + 2 * 4 * (FFT // 2 + 1))
        return batch * max(front, *(values * width for _, values in self._work(length)))

    def _work(self, length: int) -> Iterator[tuple[int, int]]:
        """Yield multiplications and the values that are kept at once, for each part of the network."""
        yield length * (FFT // 2 + 1) * BANDS, 0
        slow_time, fast_time = -(-length // SLOW_STRIDE), -(-length // FAST_STRIDE)
        for channels, taps, time in ((self.slow_stem // 8, 3, slow_time), (self.fast_stem // 8, 9, fast_time)):
            rows, half = BANDS // 2, -(-time // 2)
            inner = taps * channels * (1 + 2 * channels + 8 * channels) * rows * time
            kept = 2 * 4 * channels * rows * time
            yield inner + 9 * 32 * channels * channels * (rows // 2) * half, kept
        rows, slow_time, fast_time = BANDS // 4, -(-slow_time // 2), -(-fast_time // 2)
        for at, (depth, inputs) in enumerate(zip(DEPTHS, self.inputs, strict=True)):
            yield rows * slow_time * self.inner[at] * (FUSED * inputs[1] + self.fused[at]), 0
            down = 1 if at == 0 else 2
            for before, after, group, time in (
                (inputs[0], self.slow[at], self.slow_group, slow_time),
                (inputs[1], self.fast[at], self.fast_group, fast_time),
            ):
                mid, area = after // 2, rows // down * time
                grouped = 6 * mid * group * area
                first = before * mid * rows * time + before * after * area
                rest = (depth - 1) * after * mid * area
                yield first + rest + depth * (grouped + mid * after * area + after * after), 2 * before * rows * time
            rows //= down

    def module(self) -> MULENet:
        """Build the network, without values."""
        from ._mule_net import MULENet

        return MULENet(self)


def frames(samples: int) -> int:
    """Return the frames that the network hears of a window with its context, the last 300 at most."""
    return min(FRAMES, (samples - WIDTH // 2) // HOP + 1)


FULL = Config()
TINY = Config(
    slow=(16, 32, 96, 96),
    fast=(8, 24, 40, 40),
    slow_group=8,
    fast_group=4,
    slow_stem=16,
    fast_stem=8,
    fused=(20, 28, 36, 192),
)
