"""Sizes of CREPE's network, its tensors and operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ._checkpoint import Shapes
from ._config import NetworkConfig

RATE, FRAME = 16_000, 1024
"""Samples a second, and of a frame."""
PITCHES = 360
"""Outputs of the network: pitches 20 cents apart."""
STATISTICS = ("weight", "bias", "running_mean", "running_var")
"""Tensors of a batch normalisation."""
STRIDE = 4
"""Samples from one place of the first convolution to the next; every block then halves the places."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the network (Kim et al. 2018).

    channels : of the six convolutions
    hop : samples from one frame to the next
    """

    channels: tuple[int, ...]
    hop: int = FRAME

    @property
    def blocks(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield channels before and after each convolution, its width, and the places at which it is computed."""
        before, places = 1, FRAME // STRIDE
        for number, after in enumerate(self.channels):
            yield before, after, 64 if number else 512, places
            before, places = after, places // 2

    @property
    def width(self) -> int:
        """Values of the last hidden layer: places of the last block times channels."""
        return (FRAME // STRIDE >> len(self.channels)) * self.channels[-1]

    def tensors(self) -> Shapes:
        """Return name -> shape of every tensor, under its published name."""
        out: dict[str, tuple[int, ...]] = {}
        for number, (before, after, wide, _) in enumerate(self.blocks, 1):
            out |= {f"conv{number}.weight": (after, before, wide, 1), f"conv{number}.bias": (after,)}
            out |= {f"conv{number}_BN.{name}": (after,) for name in STATISTICS}
        return out | {"classifier.weight": (PITCHES, self.width), "classifier.bias": (PITCHES,)}

    def unused(self) -> tuple[str, ...]:
        """Return the names of all other published tensors: counters."""
        return tuple(f"conv{number}_BN.num_batches_tracked" for number in range(1, len(self.channels) + 1))

    def frames(self, samples: int) -> int:
        """Return the number of frames in `samples`."""
        return max(0, 1 + (samples - FRAME) // self.hop)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window of `samples`."""
        total = self.width * PITCHES
        total += sum(places * before * after * wide for before, after, wide, places in self.blocks)
        return 2 * total * self.frames(samples)

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the largest convolution and its padded input."""
        values = (places * (before + after) + before * wide for before, after, wide, places in self.blocks)
        return batch * self.frames(samples) * width * max(values)


SIZES = {
    "full": Config((1024, 128, 128, 128, 256, 512)),
    "tiny": Config((128, 16, 16, 16, 32, 64)),
}
SMALL = Config((8, 4, 4, 4, 4, 4))
