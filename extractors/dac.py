"""DAC: the Descript Audio Codec, whose latents averaged over time are a cheap baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.protocols import Window
from bench.weights import Part, Source, Weights

from ._codec import Codec, converter
from ._dac_config import FULL, LOWER, TINY, Config
from ._network import RANDOM

TRAINED_ON = ("daps", "dns", "common-voice", "vctk", "musdb18", "jamendo", "audioset")


def _weights(part: str, revision: str, config: Config, sha256: str | None = None, size: int | None = None) -> Weights:
    file = "model.safetensors"
    origin = f"https://huggingface.co/descript/dac_{part}/resolve/{revision}/{file}"
    return Weights(
        name=f"dac-{part}",
        license="MIT",
        sources=(Source(file, origin, sha256, size),),
        parts=(Part(part, (file,), trained_on=TRAINED_ON),),
        convert=converter(config, ("encoder.",)),
    )


# No hash of the 16 kHz file is published: the first pull records it, and later files must match.
MODELS = {
    "44khz": (
        44_100,
        FULL,
        _weights(
            "44khz",
            "c1bc521685adf9cfe247bc39a5ca58917eda1ac4",
            FULL,
            "6128ebff483a41422b0164d079a3773b0d8d82e64c4293d775994cbf8baf913a",
            306_507_276,
        ),
    ),
    "24khz": (
        24_000,
        LOWER,
        _weights(
            "24khz",
            "6ba020b5ba7d9d8076fb90db7e67f27e31980f6e",
            LOWER,
            "7452e3fc6972991da871ae1a1c9d3e8e219aa247cc0f757018867d6a7fe59aaf",
            298_652_268,
        ),
    ),
    "16khz": (16_000, LOWER, _weights("16khz", "7c2fc5e759f1f501aefc6e7a0265cc57f5d17ba7", LOWER)),
}
"""Part of the weights -> sample rate, sizes, files."""
SECONDS = 5
"""Length of a window."""


@dataclass(frozen=True)
class DacSettings:
    """Which weights.

    weights : 44khz, 24khz or 16khz, by sample rate; or random: untrained at 44.1 kHz, for trials and speed
    seed : of random weights
    """

    weights: Literal["44khz", "24khz", "16khz", "random"] = "44khz"
    seed: int = 0


class Dac(Codec):
    """DAC, the Descript Audio Codec (Kumar et al. 2023, arXiv:2306.06546): the encoder alone.

    Mono without normalisation, in windows of 5 s; a tail of a second or more is kept. Layer `latent`: the 1024 values
    of each frame before quantisation, 86 frames a second at 44.1 kHz, 75 at 24 kHz, 50 at 16 kHz. All of it runs in
    float32.
    """

    Settings = DacSettings
    name = "dac"
    full, small = FULL, TINY
    parameters: int | None = 22_299_200
    weights: Sequence[Weights] = tuple(files for _, _, files in MODELS.values())
    paper = "Kumar et al. 2023, arXiv:2306.06546"
    traps = (
        "A codec learns to reproduce the signal: its latents are a baseline, not a music model.",
        "The latents are those before quantisation, whatever number of codebooks a user would choose.",
        "Upstream evens out the loudness to -16 dB when its command compresses a file; the network does not.",
        "The published configurations of 16 and 24 kHz name a hop_length of 512, but their frames have 320 samples.",
    )
    config: Config
    settings: DacSettings

    def __init__(self, settings: DacSettings, config: Config | None = None):
        part = "44khz" if settings.weights == RANDOM else settings.weights
        rate, sizes, files = MODELS[part]
        super().__init__(settings, files, part, config or sizes)
        self.sample_rate = rate
        self.window = Window(length=SECONDS * rate, hop=SECONDS * rate, shortest=self.config.frame, shortest_tail=rate)
        self.layers = {"latent": self.config.features}
        if settings.weights in ("24khz", "16khz"):
            self.parameters = 21_512_768
