"""MULE: a convolutional network of two pathways, trained to tell which 3 s are from the same recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.protocols import Window
from bench.weights import Weights

from ._checkpoint import he_arrays
from ._mule_config import FULL, TINY, Config
from ._mule_sizes import FRAMES, HOP, RATE, WIDTH
from ._mule_weights import MULE as WEIGHTS
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SKIPPED = 50
"""Frames before the first window, which are not heard: upstream centres windows at 2 s, 4 s, ..."""
LENGTH = (SKIPPED + FRAMES - 1) * HOP


@dataclass(frozen=True)
class MULESettings:
    """Which weights.

    weights : musicset (the published ones), or random: untrained, for trials and speed
    precision : of convolutions
    seed : of random weights
    """

    weights: Literal["musicset", "random"] = "musicset"
    precision: Precision = "float32"
    seed: int = 0


class MULE(NetworkExtractor):
    """MULE (McCallum et al. 2022), a contrastive model of 1.8 million tracks; its weights are CC BY-NC 4.0, 251 MB.

    16 kHz mono; windows of 300 log-mel frames (3 s) every 2 s, each standardised by itself. As upstream does, the first
    one starts at 0.5 s, and one more ends with the track if more than 0.5 s are left. Layers: `embedding` (1728, the
    default: the means of both pathways over bands and frames, after a GELU), and `stage1` to `stage3` (288, 576,
    1728: the same means earlier, without a GELU). Clips of half a second to 3 s are heard whole, with status
    `short`; upstream has no vector for them.
    """

    Settings = MULESettings
    name = "mule"
    license = "CC BY-NC 4.0"
    sample_rate = RATE
    window = Window(
        length=LENGTH,
        hop=2 * RATE,
        right=WIDTH // 2,
        tail="overlap",
        shortest=RATE // 2,
        shortest_tail=SKIPPED * HOP + 1,
    )
    autocast = True
    full, small = FULL, TINY
    parameters = 62_345_742
    weights: Sequence[Weights] = (WEIGHTS,)
    paper = "McCallum et al. 2022, arXiv:2210.03799"
    traps = (
        "Upstream divides 16-bit samples by 65,536 and adds channels: it hears a stereo file as here, but a mono file "
        "at half its level, and the logarithm of the spectrogram makes that another vector.",
        "The first half second of a track is in no window.",
        "The published file mixes the factors of the two pathways' residuals; only its graph tells which is which.",
        "In the published results, the GTZAN column is headed precision; it is accuracy.",
    )
    config: Config
    settings: MULESettings

    def __init__(self, settings: MULESettings, config: Config = FULL):
        super().__init__(settings, WEIGHTS, "musicset", config)
        self.layers = config.layers

    def random_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return random weights (`he_arrays`)."""
        return he_arrays(self.config.tensors(), self.settings.seed)
