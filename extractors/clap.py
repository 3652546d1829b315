"""CLAP: audio and text in one space; this is its audio tower, trained on music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.protocols import Window
from bench.weights import Part, Source, Weights

from ._checkpoint import count, reader
from ._clap_config import FULL, RATE, SAMPLES, TINY, Config
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import torch

    from ._clap_net import CLAPNet

CLAP_WEIGHTS = Weights(
    name="clap",
    license="Apache-2.0",
    sources=(
        Source(
            file="pytorch_model.bin",
            origin="https://huggingface.co/laion/larger_clap_music/resolve/a0b4534a14f58e20944452dff00a22a06ce629d1"
            "/pytorch_model.bin",
            sha256="5c289311f4a030d768af7ffbfdecd01b008aa64824211899a4e59f4f9d154fd1",
        ),
    ),
    parts=(Part("music", ("pytorch_model.bin",), trained_on=("audioset", "laion-audio-630k", "undisclosed")),),
    convert=reader(FULL.tensors, prefix="audio_model.audio_encoder.", unused=FULL.unused()),
)


@dataclass(frozen=True)
class CLAPSettings:
    """Which weights, and in which precision products run.

    weights : music (larger_clap_music), or random: untrained, for trials and speed
    precision : of matrix products; vectors are averaged in float64
    seed : of random weights
    """

    weights: Literal["music", "random"] = "music"
    precision: Precision = "float32"
    seed: int = 0


class CLAP(NetworkExtractor):
    """LAION CLAP (Wu et al. 2023): the audio tower of larger_clap_music, 48 kHz, 10 s.

    Layers: `patches`, the last stage's 64 patches (1024 each); `embedding`, the default, the unit vector of 512
    that is compared with texts, one for each window. Windows lie side by side. A tail of a second or more, and a
    clip of half a second or more, is repeated as often as it fits into 10 s and padded with zeros, as upstream
    does.
    """

    Settings = CLAPSettings
    name = "clap"
    sample_rate = RATE
    window = Window(length=SAMPLES, hop=SAMPLES, shortest=RATE // 2, shortest_tail=RATE)
    weights: Sequence[Weights] = (CLAP_WEIGHTS,)
    paper = "Wu et al. 2023, arXiv:2211.06687"
    traps = (
        "Several users report that the text tower of larger_clap_music is broken; it is not used here. Its maintainers "
        "cannot say how that checkpoint was trained.",
        "A track's vector is the mean over windows, which is not a unit vector.",
    )
    window_per_thread = True
    random_gains = (1.0, 1.0)
    full, small = FULL, TINY
    config: Config
    settings: CLAPSettings

    def __init__(self, settings: CLAPSettings, config: Config = FULL):
        super().__init__(settings, CLAP_WEIGHTS, "music", config)
        self.layers = {"patches": config.width, "embedding": config.joint}
        self.parameters = count(config.tensors())

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> CLAPNet:
        """Build the network from its tensors; products run in `dtype`."""
        from ._clap_net import CLAPNet

        return CLAPNet(self.config, tensors, dtype)
