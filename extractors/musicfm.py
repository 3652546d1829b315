"""MusicFM: a conformer that predicts masked tokens of music, 25 frames a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.protocols import LANES, Clip, Lane, Window
from bench.weights import Weights

from ._musicfm_config import FULL, TINY, Config
from ._musicfm_weights import MUSICFM
from ._network import NetworkExtractor, Precision, check_published

if TYPE_CHECKING:
    import torch

RATE = 24_000
CHUNK = 30 * RATE
"""Samples of a window: what the network was trained on."""
SHORTEST = 1025
"""Samples that a centred spectrogram of 2048 samples can reflect at its ends."""
WINDOW = Window(length=CHUNK, hop=CHUNK, tail="keep", shortest=SHORTEST, shortest_tail=RATE)


@dataclass(frozen=True)
class MusicFMSettings:
    """Which weights.

    weights : msd (Million Song Dataset; the author prefers it), fma (FMA-large), or random: untrained, for trials
        and speed; none stands for msd, in the published lane for fma
    precision : of products; norms and sums stay in float32. The author recommends float32
    seed : of random weights
    """

    lane: Lane = "corrected"
    weights: Literal["msd", "fma", "random"] | None = None
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Choose the weights of the lane; reject settings that it determines."""
        lanes = {"published": "fma", "corrected": "msd"}
        object.__setattr__(self, "weights", self.weights or lanes[self.lane])
        check_published(self, "precision")
        if self.lane == "published" and self.weights == "msd":
            raise ValueError("the published lane has weights=fma, not msd")


class MusicFM(NetworkExtractor):
    """MusicFM (Won, Hung and Le 2023), a conformer over 24 kHz audio, 25 frames a second.

    24 kHz mono without normalisation, in windows of 30 s; a tail of a second or more is kept, and nothing is
    padded. Layers: `0` (the convolutional front end), `1` to `11` (after each conformer block), `12` (after the
    last one and the encoder's normalisation), 1024 each. The default is `7`, which the author's example of frozen
    features takes.

    The published lane is what Tamm & Aljanaki (2024) averaged: layer 12 of the FMA weights over the first
    30 s, shorter clips padded with zeros, and the mean over *channels* instead of time. It is exempt from the check
    that time is averaged.
    """

    Settings = MusicFMSettings
    name = "musicfm"
    license = "MIT"
    lanes = LANES
    sample_rate = RATE
    autocast = True
    full, small = FULL, TINY
    parameters: int | None = 316_343_296
    weights: Sequence[Weights] = tuple(MUSICFM.values())
    paper = "Won, Hung and Le 2023, arXiv:2311.03318"
    traps = (
        "The example in the model's README averages over channels instead of time: that leaves 750 columns, one for "
        "each 40 ms of a clip, which are positions and not features.",
        "Layer 12 is for fine-tuning; frozen features are taken from layer 7.",
    )
    config: Config
    settings: MusicFMSettings

    def __init__(self, settings: MusicFMSettings, config: Config = FULL):
        super().__init__(settings, MUSICFM["msd" if settings.weights == "msd" else "fma"], "model", config)
        if self.precision != "float32":
            self.version = "2"  # in version 1 the spectrogram was computed in this precision, too
        last = str(config.depth)
        if settings.lane == "published":
            self.layers = {last: CHUNK // 960}
            self.window, self.clip = Window(length=CHUNK, hop=CHUNK, tail="drop"), Clip(seconds=30, pad=True)
            self.pooling, self.exempt = "own", frozenset({"width"})
        else:
            self.layers = dict.fromkeys(map(str, range(config.depth + 1)), config.width)
            self.window, self.default_layer = WINDOW, "7" if config == FULL else last

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Map waves (B, N) to frames (B, N / 960, width) of each layer; published: (B, 1, 750), means over channels."""
        if self.settings.lane == "corrected":
            yield from super().frames(waves)
            return
        (last,) = deque(self.states(waves), maxlen=1)  # the states before it are freed
        yield next(iter(self.layers)), last.mean(dim=-1)[:, None]
