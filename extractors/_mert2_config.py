"""Sizes of MERT-v2's network. Imports torch only to build it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig

if TYPE_CHECKING:
    from ._mert2_net import MERT2Net

FFT, HOP = 2048, 240
STRIDES = (1, 2, 2)
"""Of the stages of the front end: frames in for one frame out."""
SPAN, RATIO = 7, 4
"""Frames of a convolution in the front end; width of its feed-forward nets over the width of their stage."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the network; the defaults are those of both published checkpoints.

    middle : width of the front end's second stage; the first is as wide as the spectrogram, the last as the blocks
    stages : layers of each stage
    """

    mels: int = 128
    middle: int = 512
    stages: tuple[int, int, int] = (3, 4, 5)
    width: int = 1024
    depth: int = 24
    heads: int = 16
    ffn: int = 4096
    kernel: int = 31

    @property
    def widths(self) -> tuple[int, int, int]:
        """Width of each stage."""
        return self.mels, self.middle, self.width

    def frames(self, samples: int) -> tuple[int, ...]:
        """Return the frames of a window after each stage."""
        out, frames = [], samples // HOP
        for stride in STRIDES:
            frames //= stride
            out.append(frames)
        return tuple(out)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: mel bands, convolutions, linear maps, attention."""
        total, before = samples // HOP * (FFT // 2 + 1) * self.mels, self.mels
        for frames, width, layers, stride in zip(self.frames(samples), self.widths, self.stages, STRIDES, strict=True):
            total += frames * layers * (SPAN * width + 2 * RATIO * width**2)
            total += frames * stride * before * width * (stride > 1)
            before = width
        d, frames = self.width, self.frames(samples)[-1]
        block = 4 * d * self.ffn + 4 * d * d + 2 * frames * d + 3 * d * d + self.kernel * d
        return 2 * (total + self.depth * frames * block)

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of one clip in the spectrogram or a stage, beside the others; or of a block."""
        frames, after = samples // HOP, self.frames(samples)
        levels = batch * 4 * frames * self.mels
        spectrum = 4 * samples + frames * (4 * FFT + 8 * (FFT // 2 + 1))
        states = batch * 4 * after[-1] * self.width
        stage = max(frames * width * (3 * 4 + 3 * 4 * RATIO) for frames, width in zip(after, self.widths, strict=True))
        block = batch * after[-1] * (3 * 4 * self.width + 2 * width * self.ffn)
        return max(levels + spectrum, levels + states + stage, levels + block)

    def module(self) -> MERT2Net:
        """Build the network, without values."""
        from ._mert2_net import MERT2Net

        return MERT2Net(**asdict(self), strides=STRIDES, span=SPAN, ratio=RATIO)


FULL = Config()
TINY = Config(mels=16, middle=20, stages=(1, 2, 1), width=24, depth=2, heads=2, ffn=32, kernel=7)
