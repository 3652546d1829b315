"""CLAP: audio and text in one space; its audio tower, trained for music."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.protocols import Lane, Window
from bench.weights import Part, Source, Weights

from ._checkpoint import count, reader
from ._clap_config import RATE, SAMPLES, Config
from ._pretrained import Precision, Pretrained
from ._threads import Threads

if TYPE_CHECKING:
    import torch

FULL = Config()
TINY = Config(channels=8, depths=(2, 1, 1, 1), heads=(1, 2, 2, 4), joint=12)

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
    """Which weights, and in which precision it multiplies.

    weights : music (larger_clap_music), or random: untrained, for trials and speed
    precision : of matrix products; vectors are averaged in float64 all the same
    seed : of random weights
    """

    weights: Literal["music", "random"] = "music"
    precision: Precision = "float32"
    seed: int = 0


class CLAP(Pretrained):
    """LAION CLAP (Wu et al. 2023, arXiv:2211.06687): the audio tower of larger_clap_music, 48 kHz, 10 s at once.

    Layers: `patches`, the last stage's 64 patches (1024 each); `embedding`, the default, the unit vector of 512
    that is compared with texts, one a window. Windows lie side by side; a tail of a second or more, and a
    shorter clip of half a second or more, is repeated as often as it fits into 10 s and filled up with zeros,
    as upstream does. A track's vector is the mean over windows, no unit vector any more.

    Several users report that the text tower of this checkpoint is broken; it is not used here.
    """

    Settings = CLAPSettings
    name = "clap"
    sample_rate = RATE
    window = Window(length=SAMPLES, hop=SAMPLES, shortest=RATE // 2, shortest_tail=RATE)
    weights: Sequence[Weights] = (CLAP_WEIGHTS,)
    settings: CLAPSettings

    def __init__(self, settings: CLAPSettings, config: Config = FULL):
        super().__init__(settings)
        self.config = config
        self.layers = {"patches": config.width, "embedding": config.joint}
        self.parameters = count(config.tensors())
        self.use(CLAP_WEIGHTS, "music")

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> CLAP:
        """Return few narrow blocks, untrained."""
        return cls(CLAPSettings(weights="random"), TINY)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window, for speed as a share of what the machine can do."""
        return self.config.operations(samples)

    def load(self, device: str, dtype: str) -> None:
        """Build the tower on `device`; the setting `precision` says in which type it multiplies."""
        import torch

        from ._clap_net import Net

        tensors = self.tensors(self.config.tensors(), device)
        self._net, self._threads = Net(self.config, tensors, getattr(torch, self.settings.precision)), Threads()

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Waves (B, T) to patches (B, 64, 1024) and unit vectors (B, 1, 512)."""
        import torch

        alone = waves.device.type != "cpu" or len(waves) == 1
        found = [self._net(waves)] if alone else self._threads.map(self._net, waves.chunk(len(waves)))
        for name, parts in zip(self.layers, zip(*found, strict=True), strict=True):
            yield name, torch.cat(parts)
