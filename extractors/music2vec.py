"""Music2Vec: a data2vec for music, taught by its own averaged weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.protocols import LANES, Clip, Lane, Window
from bench.weights import Part, Source, Weights

from ._checkpoint import count, reader
from ._pretrained import Precision
from ._wav2vec_config import MUSIC2VEC, Config
from ._wav2vec_extractor import PUBLISHED, Wav2Vec, window_of

RATE = 16_000
FED = 24_000
"""Rate of the audio that the paper's script gave to a model of 16 kHz."""
TINY = Config(width=32, layers=2, heads=4, ffn=48, front="layer", position=(19, 19), groups=4, channels=16)

MUSIC2VEC_WEIGHTS = Weights(
    name="music2vec",
    license="CC BY-NC 4.0",
    non_commercial=True,
    sources=(
        Source(
            file="pytorch_model.bin",
            # Of the commit only the beginning is known (0deaa64); the hash says which file is meant.
            origin="https://huggingface.co/m-a-p/music2vec-v1/resolve/main/pytorch_model.bin",
            sha256="801d1c93ff5487cc37b47441dd33b4b555553881afaa78be5148c89f8746b98f",
            bytes=372_729_461,
        ),
    ),
    parts=(Part("v1", ("pytorch_model.bin",), trained_on=("undisclosed (1,000 h)",)),),
    convert=reader(MUSIC2VEC.tensors),
)


@dataclass(frozen=True)
class Music2VecSettings:
    """How tracks are cut and evened out, and in which precision it multiplies.

    weights : v1, or random: untrained, for trials and speed
    window : seconds heard at once, side by side, 5 as the crops of its training; none: the whole track
    normalize : zscore (each clip to mean 0 and variance 1, as upstream) or none; it matters
    precision : of matrix products; vectors are averaged in float64 all the same
    seed : of random weights
    """

    lane: Lane = "corrected"
    weights: Literal["v1", "random"] = "v1"
    window: float | None = 5.0
    normalize: Literal["zscore", "none"] = "zscore"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject windows that hold too little, and settings that the lane does not have."""
        if self.window is not None and not self.window >= 1:
            raise ValueError(f"window must be at least 1 second, or none for the whole track; got {self.window:g}")
        if self.lane == "published" and (self.window, self.normalize) != (5.0, "zscore"):
            raise ValueError("the published lane has 30 s at once, not normalised: leave window and normalize alone")


class Music2Vec(Wav2Vec):
    """Music2Vec v1 (Li et al. 2022, arXiv:2212.02508), a data2vec over 16 kHz audio, 50 frames a second.

    Layers: ``0`` is what enters the first block, ``k`` what leaves block k; ``12``, the last, is the default.
    Windows of 5 s, the crops of its training, lie side by side; a tail of less than a second is dropped
    unless it is all there is, half a second at least.

    The published lane is what Tamm & Aljanaki (2024) ran: audio of **24 kHz** given to a model of 16 kHz,
    which hears it slowed down to two thirds, a fifth lower; the first 30 s in one piece, shorter clips
    filled up with zeros, not normalised.
    """

    Settings = Music2VecSettings
    name = "music2vec"
    lanes = LANES
    weights: Sequence[Weights] = (MUSIC2VEC_WEIGHTS,)
    settings: Music2VecSettings

    def __init__(self, settings: Music2VecSettings, config: Config | None = None):
        super().__init__(settings)
        self.set_config(config or MUSIC2VEC)
        self.parameters = count(self.config.tensors())
        self.use(MUSIC2VEC_WEIGHTS, "v1")
        if settings.lane == "published":
            self.sample_rate, self.window, self.clip, self.normalize = FED, Window(length=None), PUBLISHED, "none"
        else:
            self.sample_rate, self.window, self.clip = RATE, window_of(settings.window, RATE), Clip()
            self.normalize = settings.normalize

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> Music2Vec:
        """Return two narrow layers, untrained."""
        return cls(Music2VecSettings(lane=lane, weights="random"), TINY)
