"""MuQ: MusicFM's network, trained to guess the codes of a quantised mel spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.protocols import Lane
from bench.weights import Weights

from ._musicfm_weights import FULL, MUQ, Shape
from ._network import Network
from ._pretrained import Precision
from .musicfm import RATE, TINY, WINDOW

if TYPE_CHECKING:
    from ._musicfm_net import MusicFMNet


@dataclass(frozen=True)
class MuQSettings:
    """Which weights.

    weights : msd (MuQ-large-msd-iter, the one that is published), or random: untrained, for trials and speed
    precision : of products; norms and sums stay in float32. The authors recommend float32
    seed : of random weights
    """

    weights: Literal["msd", "random"] = "msd"
    precision: Precision = "float32"
    seed: int = 0


class MuQ(Network):
    """MuQ-large-msd-iter (Zhu et al. 2025, arXiv:2501.01108); its weights are CC BY-NC 4.0, 1.3 GB.

    24 kHz mono as it is, in windows of 30 s as in training; a tail of a second or more is kept. Layers as
    MusicFM's: `0` (the convolutional front end), `1` to `11` (after each conformer block) and `12` (after the
    last one and the encoder's normalisation, the default), 1024 each.

    It has heard Music4All's audio: results on Music4All carry a warning.
    """

    Settings = MuQSettings
    name = "muq"
    license = "MIT"
    sample_rate = RATE
    window = WINDOW
    parameters: int | None = 316_343_296
    weights: Sequence[Weights] = (MUQ,)
    settings: MuQSettings
    _shape: Shape

    def __init__(self, settings: MuQSettings, shape: Shape = FULL):
        super().__init__(settings)
        self.use(MUQ, "model")
        self._shape = shape
        self.layers = {str(number): shape.width for number in range(shape.depth + 1)}

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> MuQ:
        """Return a small random network behind the same front end."""
        return cls(MuQSettings(weights="random"), TINY)

    def network(self) -> MusicFMNet:
        """Build the network."""
        from ._musicfm_net import MusicFMNet

        return MusicFMNet(self._shape)
