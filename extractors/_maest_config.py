"""Sizes of MAEST's network. Imports torch only to build it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig
from ._logc_mel import HOP, RATE

if TYPE_CHECKING:
    from ._maest_net import MAESTNet

PATCH, STRIDE = 16, 10
"""Bands and frames of a patch, and from one patch to the next."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the network; the defaults are those of the published checkpoints of 30 s.

    frames : of the spectrogram, for which there are positions
    """

    frames: int = 1875
    mels: int = 96
    width: int = 768
    depth: int = 12
    heads: int = 12

    @property
    def seconds(self) -> int:
        """Length of a window, as upstream names the models: 312 frames are 5 s."""
        return round(self.frames * HOP / RATE)

    def tokens(self, samples: int) -> int:
        """Return the tokens of `samples`, both learned ones included."""
        across, along = ((size - PATCH) // STRIDE + 1 for size in (self.mels, 1 + samples // HOP))
        return 2 + across * along

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: patches, linear maps, attention."""
        d, tokens = self.width, self.tokens(samples)
        return 2 * tokens * (PATCH * PATCH * d + self.depth * (12 * d * d + 2 * tokens * d))

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the spectrogram, or of a block's feed-forward net."""
        frames, tokens = 1 + samples // HOP, batch * self.tokens(samples)
        levels = 4 * batch * frames * self.mels
        spectrum = batch * frames * (8 * 512 + 8 * 257)
        return max(spectrum, levels + tokens * (3 * 4 * self.width + 2 * width * 4 * self.width))

    def module(self) -> MAESTNet:
        """Build the network, without values."""
        from ._maest_net import MAESTNet

        return MAESTNet(**asdict(self), patch=PATCH, stride=STRIDE)


TINY = Config(frames=312, mels=36, width=32, depth=2, heads=2)
