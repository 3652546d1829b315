"""Sizes of the network of MusicFM and MuQ. Imports torch only to build it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ._config import NetworkConfig

if TYPE_CHECKING:
    from ._musicfm_net import MusicFMNet


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the network; the defaults are those of the published checkpoints."""

    mels: int = 128
    channels: int = 512
    width: int = 1024
    depth: int = 12
    heads: int = 16
    ffn: int = 4096
    kernel: int = 31

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: convolutions, linear maps, attention."""
        d, c = self.width, self.channels
        half = -(-(samples // 240) // 2)
        frames = -(-half // 2)
        front = (2 + c) * half * (self.mels // 2) + 3 * c * frames * (self.mels // 4)
        total = 9 * c * front + frames * c * (self.mels // 4) * d
        block = 4 * d * self.ffn + 4 * d * d + 2 * frames * d + 3 * d * d + self.kernel * d
        return 2 * (total + self.depth * frames * block)

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of one clip in the spectrogram or the convolutions, beside the others; or of a block."""
        frames = samples // 240
        half, kept = -(-frames // 2), -(-frames // 4)
        levels = batch * 4 * frames * self.mels
        spectrum = 4 * samples + frames * (4 * 2048 + 8 * 1025)  # windows and their complex spectra
        convolved = 3 * width * self.channels * half * (self.mels // 2)
        states = batch * 4 * kept * self.width
        block = batch * kept * (3 * 4 * self.width + 2 * width * self.ffn)
        return max(2 * levels, levels + spectrum, levels + 2 * states + convolved, levels + block)

    def module(self) -> MusicFMNet:
        """Build the network, without values."""
        from ._musicfm_net import MusicFMNet

        return MusicFMNet(**asdict(self))


FULL = Config()
TINY = Config(mels=16, channels=4, width=24, depth=2, heads=2, ffn=32, kernel=7)
