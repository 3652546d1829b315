"""MuQ: MusicFM's network, trained to predict the codes of a quantised mel spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.weights import Weights

from ._musicfm_config import FULL, TINY, Config
from ._musicfm_weights import MUQ
from ._network import NetworkExtractor, Precision
from .musicfm import RATE, WINDOW


@dataclass(frozen=True)
class MuQSettings:
    """Which weights.

    weights : msd (MuQ-large-msd-iter, the published one), or random: untrained, for trials and speed
    precision : of products; norms and sums stay in float32. The authors recommend float32
    seed : of random weights
    """

    weights: Literal["msd", "random"] = "msd"
    precision: Precision = "float32"
    seed: int = 0


class MuQ(NetworkExtractor):
    """MuQ-large-msd-iter (Zhu et al. 2025), MusicFM's conformer trained to predict other tokens.

    24 kHz mono without normalisation, in windows of 30 s as in training; a tail of a second or more is kept.
    Layers as MusicFM's: `0` (the convolutional front end), `1` to `11` (after each conformer block) and `12`
    (after the last one and the encoder's normalisation, the default), 1024 each.
    """

    Settings = MuQSettings
    name = "muq"
    license = "MIT"
    sample_rate = RATE
    window = WINDOW
    autocast = True
    full, small = FULL, TINY
    parameters: int | None = 316_343_296
    weights: Sequence[Weights] = (MUQ,)
    paper = "Zhu et al. 2025, arXiv:2501.01108"
    traps = (
        "Its training data include Music4All's audio: results on Music4All carry a warning.",
        "The package breaks with transformers 5.16 and later; bench does not use it.",
    )
    config: Config
    settings: MuQSettings

    def __init__(self, settings: MuQSettings, config: Config = FULL):
        super().__init__(settings, MUQ, "model", config)
        if self.precision != "float32":
            self.version = "2"  # in version 1 the spectrogram was computed in this precision, too
        self.layers = dict.fromkeys(map(str, range(config.depth + 1)), config.width)
