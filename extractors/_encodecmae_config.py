"""Sizes of EncodecMAE's network. Imports torch only to build it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig
from ._encodec_config import FRAME
from ._encodec_config import Config as Encodec

if TYPE_CHECKING:
    from ._encodecmae_net import EncodecMAENet


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the network; the defaults are those of `base`."""

    width: int = 768
    depth: int = 10
    heads: int = 12
    ffn: int = 4096
    filters: int = 32
    """Channels of EnCodec's first convolution; each of four steps doubles them."""
    features: int = 128

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: convolutions, LSTM, linear maps, attention."""
        left = -(-samples // FRAME)
        total = Encodec(self.filters, self.features).operations(samples) // 2 + left * self.features * self.width
        layer = 4 * self.width**2 + 2 * self.width * self.ffn + 2 * left * self.width
        return 2 * (total + self.depth * left * layer)

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of a residual block of EnCodec in float32, or of a feed-forward net beside the streams."""
        front = 5 * 4 * samples * self.filters  # each step has as many values as the first
        block = -(-samples // 320) * (5 * 4 * self.width + 2 * width * self.ffn)
        return batch * max(front, block)

    def module(self) -> EncodecMAENet:
        """Build the network, without values."""
        from ._encodecmae_net import EncodecMAENet

        return EncodecMAENet(**asdict(self))


FULL = Config()
TINY = Config(width=24, depth=2, heads=2, ffn=32, filters=2, features=8)
