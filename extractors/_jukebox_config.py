"""Sizes of Jukebox's encoder and prior. Imports torch only to build them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig

if TYPE_CHECKING:
    from ._jukebox_net import JukeboxNet

RATE = 44_100
HOP = 128
"""Samples of a token."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the network; the defaults are those of the 5b prior, of which the first `depth` of 72 blocks run."""

    width: int = 4800
    depth: int = 36
    heads: int = 8
    context: int = 8192
    """Tokens in a window."""
    block: int = 64
    """Tokens of a block of the context."""
    codes: int = 2048
    channels: int = 32
    """Of the VQ-VAE's convolutions."""
    features: int = 64
    """Of its codes."""

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window in the prior, the encoder being negligible."""
        tokens, state = min(samples // HOP, self.context), self.width // 4
        maps = self.width * 4 * state + 2 * self.width**2
        attended = (2 * self.block + tokens // self.block) / 3  # by a token, on average over the three patterns
        return round(2 * tokens * self.depth * (maps + 2 * state * attended))

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of one clip in the encoder, or of its block and a cast matrix beside all clips' streams."""
        tokens = min(-(-samples // (HOP * self.block)) * self.block, self.context)
        encoder = 4 * 4 * samples // 2 * self.channels
        return max(encoder, width * self.width * (self.width + tokens * (3 * batch + 6)))

    def module(self) -> JukeboxNet:
        """Build the network, without values."""
        from ._jukebox_net import JukeboxNet

        return JukeboxNet(**asdict(self))


FULL = Config()
TINY = Config(width=32, depth=6, heads=2, context=256, block=16, codes=32, channels=4, features=8)
