"""EncodecMAE: a masked auto-encoder over the features of a neural codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.protocols import LANES, Lane, Window
from bench.weights import Weights

from ._encodecmae_weights import ENCODECMAE, FULL, Shape
from ._network import Network
from ._pretrained import Precision

if TYPE_CHECKING:
    from ._encodecmae_net import EncodecMAENet

RATE = 24_000
CHUNK = 4 * RATE
"""Samples of a window: what the network was trained on."""
FRAME = 320
"""Samples of a frame."""
TINY = Shape(width=24, depth=2, heads=2, ffn=32, filters=2, features=8)


@dataclass(frozen=True)
class EncodecMAESettings:
    """Which weights.

    weights : base (the first version's, as the papers use it), or random: untrained, for trials and speed
    precision : of products; EnCodec, norms and sums stay in float32
    seed : of random weights
    """

    lane: Lane = "corrected"
    weights: Literal["base", "random"] = "base"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject what the lane does not have."""
        if self.lane == "published" and self.precision != "float32":
            raise ValueError("the published lane has precision=float32: leave it alone")


class EncodecMAE(Network):
    """EncodecMAE base, first version (Pepino et al. 2023, arXiv:2309.07391); its weights are MIT, 255 MB.

    24 kHz mono as it is, in windows of 4 s, 75 frames a second. Layers, 768 each: `0` (projected features of
    EnCodec with their positions), `1` to `10` (the normalised stream after each transformer layer), `final`
    (that of the last one plus the second residual stream, normalised: upstream's output and the default).

    The last window of a track is shorter. The published lane hears it however short it is, as the first
    version does; the corrected lane leaves out 2048 samples and fewer, as its author does since.
    """

    Settings = EncodecMAESettings
    name = "encodecmae"
    license = "MIT"
    lanes = LANES
    sample_rate = RATE
    parameters: int | None = 37_444_081
    weights: Sequence[Weights] = (ENCODECMAE,)
    settings: EncodecMAESettings
    _shape: Shape

    def __init__(self, settings: EncodecMAESettings, shape: Shape = FULL):
        super().__init__(settings)
        self.use(ENCODECMAE, "base")
        self._shape = shape
        self.layers = dict.fromkeys([*map(str, range(shape.depth + 1)), "final"], shape.width)
        tail = 1 if settings.lane == "published" else 2049
        self.window = Window(length=CHUNK, hop=CHUNK, tail="keep", shortest=FRAME, shortest_tail=tail)

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> EncodecMAE:
        """Return a small random network with the same steps."""
        return cls(EncodecMAESettings(lane=lane, weights="random"), TINY)

    def network(self) -> EncodecMAENet:
        """Build the network."""
        from ._encodecmae_net import EncodecMAENet

        return EncodecMAENet(self._shape)
