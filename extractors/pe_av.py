"""PE-AV: the audio tower of Meta's perception encoder for sound, video and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.protocols import Window
from bench.weights import Part, Source, Weights

from ._checkpoint import count
from ._codec import converter
from ._network import RANDOM, NetworkExtractor, Precision
from ._pe_av_config import BASE, LARGE, RATE, TINY, Config

EMBEDDING = "embedding"
ENCODER, HEAD = "audio_model.audio_encoder.", "audio_model.audio_head."
DROPPED = ("patch_embedder.", "embedder.", "resnet_block.", "self_attn.", "mlp.")
"""Parts of published names."""


def rename(name: str) -> str:
    """Return the network's name of a published tensor."""
    name = name.removeprefix(ENCODER).removeprefix(HEAD)
    for part in DROPPED:
        name = name.replace(part, "")
    return name


def _weights(part: str, revision: str, config: Config) -> Weights:
    file = "model.safetensors"
    return Weights(
        name=f"pe-av-{part}",
        license="Apache-2.0",
        # No hash is published: the first file is recorded, and later ones must match.
        sources=(Source(file, f"https://huggingface.co/facebook/pe-av-{part}/resolve/{revision}/{file}"),),
        parts=(Part(part, (file,), trained_on=("undisclosed (100 M clips of videos with sound)",)),),
        convert=converter(config, (ENCODER, HEAD), rename),
    )


SIZES = {
    "base": (BASE, _weights("base", "1c4c329b78d80a18d860ebfb05daebff4bc44518", BASE)),
    "large": (LARGE, _weights("large", "0d24878d4107d64bef49e53602fc34ce6f94f6d8", LARGE)),
}


@dataclass(frozen=True)
class PEAVSettings:
    """Which weights, and in which precision products run.

    weights : base (16 layers of 1024), large (28 of 1792), or random: untrained, of base size, for trials and speed
    precision : of matrix products above the codec, which runs in float32; vectors are averaged in float64
    seed : of random weights
    """

    weights: Literal["base", "large", "random"] = "base"
    precision: Precision = "float32"
    seed: int = 0


class PEAV(NetworkExtractor):
    """PE-AV (Vyas et al. 2025, arXiv:2512.19687): the audio tower, 48 kHz, free for commercial use.

    Layers: `0` is the input of the first layer, `k` the state after layer k, 25 frames a second; the default,
    `embedding`, is the vector of 1024 that was trained beside video and texts, one for each window. Windows of 10 s lie
    side by side; a tail of a second or more is kept. The file holds the towers of video and text, too: 8.9 GB for
    `large`; the cache keeps the audio tower.
    """

    Settings = PEAVSettings
    name = "pe-av"
    sample_rate = RATE
    window = Window(length=10 * RATE, hop=10 * RATE, shortest=RATE // 2, shortest_tail=RATE)
    full, small = BASE, TINY
    weights: Sequence[Weights] = tuple(files for _, files in SIZES.values())
    paper = "Vyas et al. 2025, arXiv:2512.19687"
    traps = (
        "The vector has no unit length: upstream compares it with texts by the dot product.",
        "Upstream hears a whole recording at once, and its norms are taken over all of it; here windows of 10 s.",
        "A model named pe-a-frame was trained further to find sounds in time: its vectors are others.",
        "The sizes of pe-av-small are not public in any code: it is not offered here.",
    )
    config: Config
    settings: PEAVSettings

    def __init__(self, settings: PEAVSettings, config: Config | None = None):
        part = "base" if settings.weights == RANDOM else settings.weights
        sizes, files = SIZES[part]
        super().__init__(settings, files, part, config or sizes)
        states = dict.fromkeys(map(str, range(self.config.depth + 1)), self.config.width)
        self.layers = {**states, EMBEDDING: self.config.joint}
        self.parameters = count(self.config.tensors())
