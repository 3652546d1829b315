"""Sizes of EnCodec's encoder. Imports torch only to build it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig

if TYPE_CHECKING:
    from ._encodec_net import EncodecNet

RATIOS = (2, 4, 5, 8)
"""Strides of the four steps, each of which doubles the channels."""
FRAME = math.prod(RATIOS)
"""Samples of a frame."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the encoder; the defaults are those of the 24 kHz model.

    filters : channels of the first convolution
    features : width of the latent vectors
    """

    filters: int = 32
    features: int = 128

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: convolutions and LSTM."""
        c, left, total = self.filters, samples, 7 * self.filters * samples
        for ratio in RATIOS:
            total += left * c * c * 3  # a residual block: 3 c c/2 + c/2 c + c c
            left = -(-left // ratio)
            total += left * 2 * ratio * c * 2 * c
            c *= 2
        return 2 * (total + left * (2 * 8 * c * c + 7 * c * self.features))

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of a residual block in float32."""
        return batch * 5 * 4 * samples * self.filters  # each step has as many values as the first

    def module(self) -> EncodecNet:
        """Build the network, without values."""
        from ._encodec_net import EncodecNet

        return EncodecNet(self.filters, self.features)


FULL = Config()
TINY = Config(filters=2, features=8)
