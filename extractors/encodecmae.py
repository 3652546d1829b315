"""EncodecMAE: a masked auto-encoder over the features of a neural codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.protocols import LANES, Lane, Window
from bench.weights import Weights

from ._encodecmae_config import FULL, TINY, Config
from ._encodecmae_weights import ENCODECMAE
from ._network import NetworkExtractor, Precision, check_published

RATE = 24_000
CHUNK = 4 * RATE
"""Samples of a window: what the network was trained on."""
FRAME = 320
"""Samples of a frame."""


@dataclass(frozen=True)
class EncodecMAESettings:
    """Which weights.

    weights : base (of the first version, which the papers use), or random: untrained, for trials and speed
    precision : of products; EnCodec, norms and sums stay in float32
    seed : of random weights
    """

    lane: Lane = "corrected"
    weights: Literal["base", "random"] = "base"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject a precision in the published lane."""
        check_published(self, "precision")


class EncodecMAE(NetworkExtractor):
    """EncodecMAE base, first version (Pepino et al. 2023), a masked auto-encoder over EnCodec's features.

    24 kHz mono without normalisation, in windows of 4 s, 75 frames a second. Layers, 768 each: `0` (projected
    features of EnCodec with their positions), `1` to `10` (the normalised stream after each transformer layer),
    `final` (the last of them plus the second residual stream, normalised: upstream's output and the default).

    The last window of a track is shorter. The published lane keeps it whatever its length, as the first
    version does; the corrected lane drops 2048 samples and fewer, as the author has done since.
    """

    Settings = EncodecMAESettings
    name = "encodecmae"
    license = "MIT"
    lanes = LANES
    sample_rate = RATE
    parameters: int | None = 37_444_081
    autocast = True
    full, small = FULL, TINY
    weights: Sequence[Weights] = (ENCODECMAE,)
    paper = "Pepino et al. 2023, arXiv:2309.07391"
    traps = ("The second version's code does not know the names of the first version's models, such as `base`.",)
    config: Config
    settings: EncodecMAESettings

    def __init__(self, settings: EncodecMAESettings, config: Config = FULL):
        super().__init__(settings, ENCODECMAE, "base", config)
        self.layers = dict.fromkeys([*map(str, range(config.depth + 1)), "final"], config.width)
        tail = 1 if settings.lane == "published" else 2049
        self.window = Window(length=CHUNK, hop=CHUNK, tail="keep", shortest=FRAME, shortest_tail=tail)
