"""MERT-v2: a conformer of 632 million parameters, for excerpts of 30 seconds or for whole songs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.protocols import Window
from bench.weights import Weights

from ._mert2_config import FULL, TINY, Config
from ._mert2_weights import WEIGHTS
from ._network import NetworkExtractor, Precision
from .musicfm import RATE, SHORTEST
from .musicfm import WINDOW as EXCERPT

SONG = Window(length=360 * RATE, hop=360 * RATE, shortest=SHORTEST, shortest_tail=30 * RATE)
"""As long as the longest songs in training; a tail is no shorter than the shortest ones."""


@dataclass(frozen=True)
class MERT2Settings:
    """Which of the published models.

    weights : 30s (trained on excerpts of 30 s), fullsong (trained further on songs of 30 to 360 s), or random: 30s
        untrained, for trials and speed
    precision : of products; norms and sums stay in float32
    seed : of random weights
    """

    weights: Literal["30s", "fullsong", "random"] = "30s"
    precision: Precision = "float32"
    seed: int = 0


class MERT2(NetworkExtractor):
    """MERT-v2-30s and MERT-v2-FullSong (m-a-p 2026), 24 kHz, 25 frames a second; weights CC BY-NC 4.0, 2.5 GB each.

    Layers `1` to `24`, 1024 each, are the states after each block; the last one, the default, is upstream's output.
    Windows of `30s` have 30 s, and a tail of a second or more is kept; those of `fullsong` have 360 s, and a tail of 30
    s or more is kept: songs up to 6 minutes are heard whole. Nothing is padded or normalised.
    """

    Settings = MERT2Settings
    name = "mert2"
    license = "CC BY-NC 4.0"
    non_commercial = True
    paper = "no report yet; the authors ask to cite MERT (Li et al. 2024, arXiv:2306.00107)"
    traps = (
        "Upstream's `hidden_states[0]` is the state after block 1, which is layer 1 here; its list has no input layer.",
        "The authors take other layers for other tasks: for genre and tags 13 to 23 of `30s` and 12 to 24 of "
        "`fullsong`, for key 4 of `30s`.",
        "The waveform must not be standardised, as it was for some models of MERT v1.",
        "A norm in the front end runs over all frames of a window, so every frame depends on where a recording is cut.",
        "The training data are not named: whether a track was heard in training cannot be told.",
    )
    sample_rate = RATE
    window = EXCERPT
    autocast = True
    full, small = FULL, TINY
    parameters: int | None = 632_295_808
    weights: Sequence[Weights] = tuple(WEIGHTS.values())
    config: Config
    settings: MERT2Settings

    def __init__(self, settings: MERT2Settings, config: Config = FULL):
        whole = settings.weights == "fullsong"
        super().__init__(settings, WEIGHTS["fullsong" if whole else "30s"], "model", config)
        self.window = SONG if whole else EXCERPT
        self.layers = dict.fromkeys(map(str, range(1, config.depth + 1)), config.width)
