"""Sizes of Mimi's encoder. Imports torch only to build it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig

if TYPE_CHECKING:
    from ._mimi_net import MimiNet

RATIOS = (4, 5, 6, 8)
"""Strides of the convolutions, each of which doubles the channels."""
STATE = math.prod(RATIOS)
"""Samples between two states of the transformer: 25 a second."""
FRAME = 2 * STATE
"""Samples of a frame."""
CONTEXT = 250
"""States that the transformer attends to."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the encoder; the defaults are the published ones.

    filters : channels of the first convolution
    width, depth, heads : of the transformer, and the width of the latent vectors
    """

    filters: int = 64
    width: int = 512
    depth: int = 8
    heads: int = 8

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: convolutions, transformer, downsampling."""
        c, left, total = self.filters, samples, 7 * self.filters * samples
        for ratio in RATIOS:
            total += left * c * c * 2  # a residual block: 3 c c/2 + c/2 c
            left = -(-left // ratio)
            total += left * 2 * ratio * c * 2 * c
            c *= 2
        d = self.width
        total += left * (3 * c * d + self.depth * (12 * d * d + 2 * left * d))
        return 2 * (total + -(-left // 2) * 4 * d * d)

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of a residual block in float32."""
        return batch * 4 * 4 * samples * self.filters

    def module(self) -> MimiNet:
        """Build the network, without values."""
        from ._mimi_net import MimiNet

        return MimiNet(self)


FULL = Config()
TINY = Config(filters=2, width=16, depth=2, heads=2)
