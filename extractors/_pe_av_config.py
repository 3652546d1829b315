"""Sizes of PE-AV's audio tower. Imports torch only to build it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._config import NetworkConfig
from ._dac_config import Config as Codec

if TYPE_CHECKING:
    from ._pe_av_net import PEAVNet

RATE = 48_000


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the audio tower.

    width, hidden, depth, heads : of the transformer and of its feed-forward nets
    joint : of the common space
    bottleneck : width of the codec's latents
    codec : of the convolutions below the transformer
    """

    width: int
    hidden: int
    depth: int
    heads: int
    joint: int = 1024
    bottleneck: int = 128
    codec: Codec = field(default_factory=lambda: Codec(ratios=(2, 8, 10, 12)))

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window."""
        d, tokens = self.width, -(-samples // self.codec.frame) + 1
        entry = tokens * (self.bottleneck * (self.codec.features + d) + 6 * d * d)
        block = tokens * (4 * d * d + 3 * d * self.hidden + 2 * tokens * d)
        return self.codec.operations(samples) + 2 * (entry + self.depth * block + tokens * d * d + d * self.joint)

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the codec or of a block."""
        tokens = samples // self.codec.frame + 1
        block = batch * tokens * (4 * 2 * self.width + width * (4 * self.width + 3 * self.hidden))
        return max(self.codec.activations(samples, batch, width), block)

    def module(self) -> PEAVNet:
        """Build the network, without values."""
        from ._pe_av_net import PEAVNet

        return PEAVNet(self)


BASE = Config(width=1024, hidden=2752, depth=16, heads=8)
LARGE = Config(width=1792, hidden=4800, depth=28, heads=14)
TINY = Config(16, 24, 2, 2, joint=12, bottleneck=8, codec=Codec(ratios=(2, 8, 10, 12), filters=2))
