"""Sizes of the encoder of DAC, the Descript Audio Codec. Imports torch only to build it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig

if TYPE_CHECKING:
    from ._dac_net import DacNet

DILATIONS = (1, 3, 9)
"""Steps between the taps of the three residual units before each stride."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the encoder.

    ratios : strides of the steps, each of which doubles the channels
    filters : channels of the first convolution
    """

    ratios: tuple[int, ...] = (2, 4, 8, 8)
    filters: int = 64

    @property
    def frame(self) -> int:
        """Samples of a frame."""
        return math.prod(self.ratios)

    @property
    def features(self) -> int:
        """Width of the latent vectors."""
        return int(self.filters * 2 ** len(self.ratios))

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window."""
        left = -(-samples // self.frame) * self.frame
        c, total = self.filters, 7 * self.filters * left
        for ratio in self.ratios:
            total += left * len(DILATIONS) * 8 * c * c
            left //= ratio
            total += left * 2 * ratio * c * 2 * c
            c *= 2
        return 2 * (total + left * 3 * c * c)

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the first residual units, in float32."""
        return batch * 4 * 4 * samples * self.filters

    def module(self) -> DacNet:
        """Build the network, without values."""
        from ._dac_net import DacNet

        return DacNet(self.ratios, self.filters)


FULL = Config()
LOWER = Config(ratios=(2, 4, 5, 8))
"""The models of 16 and 24 kHz."""
TINY = Config(ratios=(2, 4, 5, 8), filters=2)
"""With strides both even and odd."""
