"""Sizes of Choi's three networks, their tensors and operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ._checkpoint import Shapes
from ._config import NetworkConfig

NetName = Literal["crnn", "cnn", "compact"]
RATE = 12_000
FFT, HOP, BANDS, TAGS = 512, 256, 96, 50
"""Samples of the spectrum's window and between frames; mel bands; tags."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of one network.

    net : which of the three
    samples : length of a window at 12 kHz
    frames : of the mel spectrogram of a window
    padding : frames of zeros added on both sides
    channels : of each convolution (3 x 3, zeros around)
    pools : bands and frames that the maximum after each convolution takes together
    hidden : width of both GRUs; 0: there are none
    """

    net: NetName
    samples: int
    frames: int
    padding: int
    channels: tuple[int, ...]
    pools: tuple[tuple[int, int], ...]
    hidden: int = 0

    @property
    def layers(self) -> dict[str, int]:
        """Layer id -> width."""
        if self.net == "compact":
            blocks = {str(block): width for block, width in enumerate(self.channels, 1)}
            return {**blocks, "all": sum(self.channels)}
        return {"penultimate": self.width, "taggram": TAGS}

    @property
    def width(self) -> int:
        """Width of the input of the output layer."""
        return self.hidden or self.channels[-1]

    @property
    def grids(self) -> list[tuple[int, int]]:
        """Bands and frames that each convolution sees."""
        out = [(BANDS, self.frames + 2 * self.padding)]
        for bands, frames in self.pools[:-1]:
            out.append((out[-1][0] // bands, out[-1][1] // frames))
        return out

    @property
    def _inputs(self) -> tuple[int, ...]:
        """Channels that each convolution sees."""
        return (1, *self.channels[:-1])

    def tensors(self) -> Shapes:
        """Return name -> shape of every tensor; the gates of a GRU are update, reset, candidate."""
        out: dict[str, tuple[int, ...]] = {}
        statistics = () if self.net == "compact" else ("mean", "deviation")
        if statistics:
            out |= {f"norm0.{kind}": (self.grids[0][1],) for kind in ("gamma", "beta", *statistics)}
        for block, (width, inputs) in enumerate(zip(self.channels, self._inputs, strict=True), 1):
            out |= {f"conv{block}.weight": (width, inputs, 3, 3), f"conv{block}.bias": (width,)}
            out |= {f"norm{block}.{kind}": (width,) for kind in ("gamma", "beta", *statistics)}
        for gru, inputs in (("gru1", self.channels[-1]), ("gru2", self.hidden)) if self.hidden else ():
            out |= {f"{gru}.input.weight": (3 * self.hidden, inputs), f"{gru}.bias": (3 * self.hidden,)}
            out |= {f"{gru}.state.weight": (3 * self.hidden, self.hidden)}
        if self.net != "compact":
            out |= {"output.weight": (TAGS, self.width), "output.bias": (TAGS,)}
        return out

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window, whatever its length."""
        total = self.frames * (FFT // 2 + 1) * BANDS + (0 if self.net == "compact" else self.width * TAGS)
        for (bands, frames), width, inputs in zip(self.grids, self.channels, self._inputs, strict=True):
            total += bands * frames * width * inputs * 9
        if self.hidden:
            steps = self.grids[-1][1] // self.pools[-1][1]
            total += steps * 3 * self.hidden * (self.channels[-1] + 3 * self.hidden)
        return 2 * total

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the largest convolution's input, its result, and a copy of the result while it is normed."""
        sizes = zip(self.grids, self.channels, self._inputs, strict=True)
        return batch * width * max(bands * frames * (inputs + 2 * out) for (bands, frames), out, inputs in sizes)


FULL: dict[NetName, Config] = {
    "crnn": Config("crnn", 1365 * HOP, 1366, 37, (64, 128, 128, 128), ((2, 2), (3, 3), (4, 4), (4, 4)), 32),
    "cnn": Config("cnn", 1365 * HOP, 1366, 0, (32, 128, 128, 192, 256), ((2, 4), (2, 4), (2, 4), (3, 5), (4, 4))),
    "compact": Config("compact", 29 * RATE, 1360, 0, (32,) * 5, ((2, 4), (3, 4), (2, 5), (2, 4), (4, 4))),
}
"""The published networks."""
TINY: dict[NetName, Config] = {
    "crnn": Config("crnn", 2 * RATE, 94, 49, (4, 6, 6, 8), FULL["crnn"].pools, 6),
    "cnn": Config("cnn", 2 * RATE, 94, 0, (4, 6, 6, 8, 8), ((2, 2), (2, 2), (2, 2), (3, 3), (4, 3))),
    "compact": Config("compact", 2 * RATE, 94, 0, (4, 6, 6, 8, 8), ((2, 2), (3, 2), (2, 2), (2, 3), (4, 3))),
}
"""Small networks that take the same steps on windows of 2 s."""
