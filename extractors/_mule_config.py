"""MULE's network: its tensors and operations. Imports torch only to build it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig
from ._mule_sizes import BANDS, DEPTHS, FAST_STRIDE, FFT, FUSED, SLOW_STRIDE, WIDTH, Sizes, frames

if TYPE_CHECKING:
    from ._mule_net import MULENet


@dataclass(frozen=True)
class Config(Sizes, NetworkConfig):
    """The network of some sizes."""

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
