"""Music2Vec: a data2vec for music, trained to predict the states of its own averaged weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.protocols import LANES, Lane
from bench.weights import Part, Source, Weights

from ._checkpoint import reader
from ._network import Precision, check_published
from ._wav2vec_config import MUSIC2VEC, Config
from ._wav2vec_extractor import Wav2Vec, check_window

RATE = 16_000
PUBLISHED_RATE = 24_000
"""Rate of the audio that the paper's script gave to a model of 16 kHz."""
TINY = Config(width=32, layers=2, heads=4, ffn=48, front="layer", position=(19, 19), groups=4, channels=16)

MUSIC2VEC_WEIGHTS = Weights(
    name="music2vec",
    license="CC BY-NC 4.0",
    non_commercial=True,
    sources=(
        Source(
            file="pytorch_model.bin",
            # Only the beginning of the commit is known (0deaa64); the hash identifies the file.
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
    """How tracks are cut and normalised, and in which precision products run.

    weights : v1, or random: untrained, for trials and speed
    window : seconds of a window, 5 as the crops of its training; none: the whole track
    normalize : zscore (each clip to mean 0 and variance 1, as upstream) or none; it matters
    precision : of matrix products; vectors are averaged in float64
    seed : of random weights
    """

    lane: Lane = "corrected"
    weights: Literal["v1", "random"] = "v1"
    window: float | None = 5.0
    normalize: Literal["zscore", "none"] = "zscore"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject short windows, and settings that the published lane determines."""
        check_window(self.window)
        check_published(self, "window", "normalize")


class Music2Vec(Wav2Vec):
    """Music2Vec v1 (Li et al. 2022), a data2vec over 16 kHz audio, 50 frames a second.

    Layers: ``0`` is the input of the first block, ``k`` the output of block k; ``12``, the last, is the default.
    Windows of 5 s, the crops of its training, lie side by side; a tail of less than a second is dropped. The
    shortest clip is half a second.

    The published lane is what Tamm & Aljanaki (2024) ran: audio of **24 kHz** given to a model of 16 kHz, for
    which it is slowed down to two thirds and a fifth lower; the first 30 s as one window, shorter clips padded
    with zeros, not normalised.
    """

    Settings = Music2VecSettings
    name = "music2vec"
    lanes = LANES
    sample_rate = RATE
    full, small = MUSIC2VEC, TINY
    weights: Sequence[Weights] = (MUSIC2VEC_WEIGHTS,)
    paper = "Li et al. 2022, arXiv:2212.02508"
    traps = (
        "It is a model of 16 kHz: audio of 24 kHz raises no error upstream, but sounds a fifth lower to it.",
        "Clips must be normalised (`normalize=zscore`, the default).",
    )
    settings: Music2VecSettings

    def __init__(self, settings: Music2VecSettings, config: Config = MUSIC2VEC):
        super().__init__(settings, MUSIC2VEC_WEIGHTS, config)
        if settings.lane == "published":
            self.sample_rate = PUBLISHED_RATE
