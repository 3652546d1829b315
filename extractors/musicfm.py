"""MusicFM: a conformer that guesses masked tokens of music, 25 frames a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.protocols import LANES, Clip, Lane, Window
from bench.weights import Weights

from ._musicfm_weights import FULL, MUSICFM, Shape
from ._network import Network
from ._pretrained import Precision

if TYPE_CHECKING:
    import torch

    from ._musicfm_net import MusicFMNet

RATE = 24_000
CHUNK = 30 * RATE
"""Samples of a window: what the network was trained on."""
SHORTEST = 1025
"""Samples that a centred spectrogram of 2048 samples can reflect at its ends."""
WINDOW = Window(length=CHUNK, hop=CHUNK, tail="keep", shortest=SHORTEST, shortest_tail=RATE)


TINY = Shape(mels=16, channels=4, width=24, depth=2, heads=2, ffn=32, kernel=7)


@dataclass(frozen=True)
class MusicFMSettings:
    """Which weights.

    weights : msd (Million Song Dataset; the better one, its author says), fma (FMA-large), or random: untrained,
        for trials and speed; none stands for msd, in the published lane for fma
    precision : of products; norms and sums stay in float32. The author recommends float32
    seed : of random weights
    """

    lane: Lane = "corrected"
    weights: Literal["msd", "fma", "random"] | None = None
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Choose the lane's weights; reject those that it does not have."""
        lanes = {"published": "fma", "corrected": "msd"}
        object.__setattr__(self, "weights", self.weights or lanes[self.lane])
        if self.lane == "published" and (self.weights == "msd" or self.precision != "float32"):
            raise ValueError("the published lane has weights=fma and precision=float32: leave them alone")


class MusicFM(Network):
    """MusicFM at 25 Hz (Won, Hung and Le 2023, arXiv:2311.03318); its weights are MIT, 1.3 GB.

    24 kHz mono as it is, in windows of 30 s; a tail of a second or more is kept, none is padded. Layers:
    `0` (the convolutional front end), `1` to `11` (after each conformer block), `12` (after the last one and
    the encoder's normalisation), 1024 each. The default is `7`, which the author's example of frozen features
    takes; `12` is for fine-tuning.

    The published lane is what Tamm & Aljanaki (2024) averaged: layer 12 of the FMA weights over the first
    30 s, shorter clips filled with zeros, and the mean over *channels* in place of time, as the model's own
    README says by mistake. That leaves 750 columns, one per 40 ms: positions in the clip, not features. It
    is exempt from the check that time is averaged.
    """

    Settings = MusicFMSettings
    name = "musicfm"
    license = "MIT"
    lanes = LANES
    sample_rate = RATE
    parameters: int | None = 316_343_296
    weights: Sequence[Weights] = tuple(MUSICFM.values())
    settings: MusicFMSettings
    _shape: Shape

    def __init__(self, settings: MusicFMSettings, shape: Shape = FULL):
        published = settings.lane == "published"
        super().__init__(settings)
        self.use(MUSICFM["msd" if settings.weights == "msd" else "fma"], "model")
        self._shape, self._channels = shape, published
        last = str(shape.depth)
        if published:
            self.layers = {last: CHUNK // 960}
            self.window, self.clip = Window(length=CHUNK, hop=CHUNK, tail="drop"), Clip(seconds=30, pad=True)
            self.pooling, self.exempt = "own", frozenset({"width"})
        else:
            self.layers = {str(number): shape.width for number in range(shape.depth + 1)}
            self.window, self.default_layer = WINDOW, "7" if shape == FULL else last

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> MusicFM:
        """Return a small random network behind the same front end."""
        return cls(MusicFMSettings(lane=lane, weights="random"), TINY)

    def network(self) -> MusicFMNet:
        """Build the network."""
        from ._musicfm_net import MusicFMNet

        return MusicFMNet(self._shape)

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Waves (B, N) to frames (B, N / 960, width) a layer; published: (B, 1, 750), the mean over channels."""
        if not self._channels:
            yield from super().frames(waves)
            return
        *_, last = self.states(waves)
        yield next(iter(self.layers)), last.mean(dim=-1)[:, None]
