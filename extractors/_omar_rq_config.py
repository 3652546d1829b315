"""Sizes of OMAR-RQ's networks. Imports torch only to build one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig

if TYPE_CHECKING:
    from ._omar_rq_net import OmarRQNet


FEED_FACTOR = 4.0
"""Of both feed-forward nets before they are added; other conformers have 0.5."""
KERNEL = 31
"""Of the convolution over time. Upstream's network ignores its own setting, which says 5."""
FRAMES = 4
"""Frames of the spectrogram that make one token."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of a network; the defaults are those of the published checkpoints at 25 Hz.

    samples : of one token: the network's step
    mels : bands of the spectrogram it reads; 0: it reads the samples themselves
    """

    samples: int = 960
    mels: int = 0
    width: int = 1024
    depth: int = 24
    heads: int = 8

    @property
    def values(self) -> int:
        """Values of one token."""
        return self.mels * FRAMES or self.samples

    @property
    def residual(self) -> float:
        """Factor of the stream where attention is added (DeepNorm; Wang et al. 2022, arXiv:2203.00555)."""
        return float((2 * self.depth) ** 0.25)

    def tokens(self, samples: int) -> int:
        """Return the tokens of `samples`."""
        return (1 + samples // 256) // FRAMES if self.mels else samples // self.samples

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: linear maps, attention to earlier tokens, convolutions."""
        d, tokens = self.width, self.tokens(samples)
        entry = d * self.values
        block = 16 * d * d + 4 * d * d + tokens * d + 3 * d * d + KERNEL * d
        return 2 * tokens * (entry + self.depth * block)

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the spectrogram, or of a block's feed-forward net."""
        tokens = batch * self.tokens(samples)
        spectrum = (samples // 256) * batch * (8 * 512 + 8 * 257) if self.mels else 0
        given = 4 * tokens * self.values
        block = tokens * (3 * 4 * self.width + 2 * width * 4 * self.width)
        return max(spectrum + given, given + block)

    def module(self) -> OmarRQNet:
        """Build the network, without values."""
        from ._omar_rq_net import OmarRQNet

        return OmarRQNet(**asdict(self), frames=FRAMES, kernel=KERNEL, residual=self.residual, feed_factor=FEED_FACTOR)


FULL = Config()
"""multifeature-25hz and multifeature-25hz-fsq: the wave at 24 kHz."""
SLOW = Config(samples=1280)
"""multifeature: the wave at 24 kHz, 18.75 tokens a second."""
MEL = Config(samples=1024, mels=96)
"""base and multicodebook: a mel spectrogram of 16 kHz, 15.625 tokens a second."""
TINY = Config(width=32, depth=2, heads=2)
