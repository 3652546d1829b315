"""Sizes of EncodecMAE's network. No torch until its tensors are listed."""

from __future__ import annotations

from dataclasses import dataclass

from ._checkpoint import Shapes


@dataclass(frozen=True)
class Config:
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
        c, left, total = self.filters, samples, 7 * self.filters * samples
        for ratio in (2, 4, 5, 8):
            total += left * c * c * 3  # a residual block: 3 c c/2 + c/2 c + c c
            left = -(-left // ratio)
            total += left * 2 * ratio * c * 2 * c
            c *= 2
        total += left * (2 * 8 * c * c + 7 * c * self.features + self.features * self.width)
        layer = 4 * self.width**2 + 2 * self.width * self.ffn + 2 * left * self.width
        return 2 * (total + self.depth * left * layer)

    def tensors(self) -> Shapes:
        """Return name -> shape of the network's tensors. Imports torch."""
        from ._encodecmae_net import EncodecMAENet
        from ._modules import module_shapes

        return module_shapes(lambda: EncodecMAENet(self))


FULL = Config()
TINY = Config(width=24, depth=2, heads=2, ffn=32, filters=2, features=8)
