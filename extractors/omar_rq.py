"""OMAR-RQ: conformers that predict masked tokens of several views of music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.protocols import Window
from bench.weights import Weights

from ._network import RANDOM, NetworkExtractor, Precision
from ._omar_rq_config import FULL, TINY, Config
from ._omar_rq_weights import VARIANTS, WEIGHTS

SECONDS = 30


@dataclass(frozen=True)
class OmarRQSettings:
    """Which of the published models.

    weights : multifeature-25hz-fsq, multifeature-25hz and multifeature read the wave at 24 kHz (the first is best in
        pitch, chords and beats); base and multicodebook read a mel spectrogram of 16 kHz (best in tags); random:
        the first one, untrained, for trials and speed
    precision : of products; norms and sums stay in float32
    seed : of random weights
    """

    weights: Literal[
        "multifeature-25hz-fsq", "multifeature-25hz", "multifeature", "base", "multicodebook", "random"
    ] = "multifeature-25hz-fsq"
    precision: Precision = "float32"
    seed: int = 0


class OmarRQ(NetworkExtractor):
    """OMAR-RQ (Alonso-Jimenez et al. 2025, arXiv:2507.03482); its weights are CC BY-NC-SA 4.0, 2.3 GB a model.

    24 kHz mono, or 16 kHz for `base` and `multicodebook`, in windows of 30 s, the longest that upstream takes; a tail
    of a second or more is kept. 25, 18.75 (`multifeature`) or 15.6 frames a second. Layers `0` to `23`, 1024 each, have
    upstream's numbers: `0` is the state after the first block. The default is `6`, from which the authors predict tags
    and difficulty; for structure they take `11`.
    """

    Settings = OmarRQSettings
    name = "omar-rq"
    license = "CC BY-NC-SA 4.0"
    non_commercial = True
    paper = "Alonso-Jiménez et al. 2025, arXiv:2507.03482"
    traps = (
        "Each frame attends to earlier frames only, so the first frames of a window know little of the music.",
        "Upstream's layer numbers count from 0 after the first block, and its `layers` argument is a set: the states "
        "come in ascending order whatever order was asked for.",
        "Upstream returns the last layer if none is named; the authors' own downstream tasks take layers 6 and 11.",
        "Two of the models want 16 kHz and three want 24 kHz; upstream does not check the rate.",
        "The configurations name a convolution of 5 frames; the code that trained the models takes 31.",
    )
    sample_rate = 24_000
    autocast = True
    full, small = FULL, TINY
    parameters: int | None = 581_223_424
    weights: Sequence[Weights] = tuple(WEIGHTS.values())
    config: Config
    settings: OmarRQSettings

    def __init__(self, settings: OmarRQSettings, config: Config | None = None):
        chosen = next(iter(VARIANTS)) if settings.weights == RANDOM else settings.weights
        config = config or VARIANTS[chosen]
        super().__init__(settings, WEIGHTS[chosen], "model", config)
        if config != TINY:  # only the first map depends on the input
            self.parameters = 581_223_424 + config.width * (config.values - FULL.values)
        self.sample_rate = rate = 16_000 if config.mels else 24_000
        self.layers = dict.fromkeys(map(str, range(config.depth)), config.width)
        self.default_layer = "6" if config.depth > 6 else str(config.depth - 1)
        chunk = SECONDS * rate
        self.window = Window(length=chunk, hop=chunk, tail="keep", shortest=config.samples, shortest_tail=rate)
