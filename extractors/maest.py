"""MAEST: spectrogram transformers that learned the styles of Discogs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.protocols import Window
from bench.weights import Weights

from ._logc_mel import HOP, RATE
from ._maest_config import PATCH, STRIDE, TINY, Config
from ._maest_weights import PUBLISHED, WEIGHTS
from ._network import RANDOM, NetworkExtractor, Precision


@dataclass(frozen=True)
class MAESTSettings:
    """Which of the published models.

    weights : their names say the seconds of a window, what training began with (pw: PaSST, dw: DeiT, fs: from
        scratch; ts: with a teacher) and its epochs; 519l learned 519 styles instead of 400; random: the first one,
        untrained, for trials and speed
    precision : of products; norms and sums stay in float32
    seed : of random weights
    """

    weights: Literal[
        "30s-pw-129e", "30s-pw-129e-519l", "30s-pw-73e-ts", "20s-pw-129e", "10s-dw-75e", "10s-fs-129e", "10s-pw-129e",
        "5s-pw-129e", "random",
    ] = "30s-pw-129e"  # fmt: skip
    precision: Precision = "float32"
    seed: int = 0


class MAEST(NetworkExtractor):
    """MAEST (Alonso-Jimenez et al. 2023, arXiv:2309.16418); its weights are CC BY-NC-SA 4.0, 344 MB a model.

    16 kHz mono, in windows of the length that the model was trained on; a tail of a second or more is kept. Layers `0`
    to `11`, 2304 each: the class token, the distillation token and the mean of all patches after each block, side by
    side, under upstream's numbers. The default is `6`, the seventh block, from which the paper predicts. `final` is the
    mean of both tokens after the last norm (768), which upstream returns if no block is named.
    """

    Settings = MAESTSettings
    name = "maest"
    license = "CC BY-NC-SA 4.0"
    non_commercial = True
    paper = "Alonso-Jiménez et al. 2023, arXiv:2309.16418"
    traps = (
        "Upstream counts blocks from 0: the paper's seventh layer is transformer_block=6.",
        "If no block is named, upstream returns 768 values of the last layer, not the 2304 of the paper's best one.",
        "The first version of the models in Essentia reads another layer (MTG/essentia, pull request 1461).",
        "Training read Essentia's spectrogram; upstream's own inference, and this project, read torchaudio's.",
        "The levels are divided by twice their standard deviation.",
    )
    sample_rate = RATE
    pooling = "own"
    autocast = True
    full, small = Config(), TINY
    parameters: int | None = 85_406_976
    weights: Sequence[Weights] = tuple(WEIGHTS.values())
    config: Config
    settings: MAESTSettings

    def __init__(self, settings: MAESTSettings, config: Config | None = None):
        chosen = next(iter(PUBLISHED)) if settings.weights == RANDOM else settings.weights
        config = config or PUBLISHED[chosen][0]
        super().__init__(settings, WEIGHTS[chosen], "model", config)
        if config != TINY:  # only the positions over time depend on the length
            self.parameters = 85_406_976 + config.width * (config.frames // STRIDE - self.full.frames // STRIDE)
        self.layers = dict.fromkeys(map(str, range(config.depth)), 3 * config.width) | {"final": config.width}
        self.default_layer = "6" if config.depth > 6 else "0"
        chunk, shortest = config.seconds * RATE, (PATCH - 1) * HOP
        self.window = Window(length=chunk, hop=chunk, tail="keep", shortest=shortest, shortest_tail=RATE)
