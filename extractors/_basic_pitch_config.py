"""Sizes of Basic Pitch's network, its tensors and operations."""

from __future__ import annotations

from dataclasses import dataclass

from ._checkpoint import Shapes, layer_shapes
from ._config import NetworkConfig

RATE, HOP = 22_050, 256
"""Samples a second, and between frames."""
SAMPLES, SIDE = 43_844, 15 * HOP
"""Samples that the network hears at once, and how many of them on either side are context."""
LENGTH = SAMPLES - 2 * SIDE
FRAMES = SAMPLES // HOP + 1
KEYS, PER_KEY, BINS = 88, 3, 309
"""Keys of a piano; bins of the constant-Q transform for each key, and in all."""
HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7)
"""Multiples of a frequency that lie side by side as channels."""
KERNELS: dict[str, tuple[int, int, int, int]] = {
    "contour": (8, 8, 3, 39),
    "contour_out": (1, 8, 5, 5),
    "note": (32, 1, 7, 7),
    "onset": (32, 8, 5, 5),
    "note_out": (1, 32, 7, 3),
    "onset_out": (1, 33, 3, 3),
}
"""Every convolution, and torch's shape of its weight (out, in, time, frequency)."""
NORMS = {"input": 1, "contour": 8, "onset": 32}
"""Every batch normalisation and its width."""
PUBLISHED = ("input", "contour", "contour", "contour_out", "note", "onset", "onset", "note_out", "onset_out")
"""Layers of the published checkpoint in their order; a convolution stands before its normalisation."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """The network has one size."""

    def tensors(self) -> Shapes:
        """Return name -> shape of every tensor."""
        return layer_shapes(KERNELS, NORMS)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window, whatever its length: shorter ones are filled up with zeros."""
        octaves = -(-BINS // (12 * PER_KEY))
        total = octaves * FRAMES * 2 * 12 * PER_KEY * HOP + SAMPLES * HOP
        for layer, (out, inputs, time, bins) in KERNELS.items():
            places = FRAMES * KEYS * (PER_KEY if layer.startswith("contour") else 1)
            total += places * out * inputs * time * bins
        return 2 * total

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the harmonics, and of the features of onsets, twice."""
        return batch * FRAMES * KEYS * width * (len(HARMONICS) * PER_KEY + 2 * KERNELS["onset_out"][1])


FULL = Config()
