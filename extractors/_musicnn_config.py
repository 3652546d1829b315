"""Sizes of MusiCNN's network, its tensors and operations."""

from __future__ import annotations

from dataclasses import dataclass

from ._checkpoint import Shapes, layer_shapes
from ._config import NetworkConfig

RATE = 16_000
FFT, HOP, BANDS, FRAMES = 512, 256, 96, 187
"""Samples of the spectrum's window and between frames; mel bands; frames of a patch."""
KERNELS: dict[str, tuple[int, ...]] = {
    "timbral38": (204, 1, 7, 38),
    "timbral67": (204, 1, 7, 67),
    "temporal128": (51, 1, 128, 1),
    "temporal64": (51, 1, 64, 1),
    "temporal32": (51, 1, 32, 1),
    "middle1": (64, 561, 7, 1),
    "middle2": (64, 64, 7, 1),
    "middle3": (64, 64, 7, 1),
    "dense": (200, 1506),
    "output": (50, 200),
}
"""Every layer with a weight, in the original's order, and torch's shape (out, in, time, band)."""
NORMS = {
    "input": 1, "timbral38": 204, "timbral67": 204, "temporal128": 51, "temporal64": 51, "temporal32": 51,
    "middle1": 64, "middle2": 64, "middle3": 64, "pool": 1506, "dense": 200,
}  # fmt: skip
"""Every batch normalisation and its width, in the original's order."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """The network has one size."""

    def tensors(self) -> Shapes:
        """Return name -> shape of every tensor."""
        return layer_shapes(KERNELS, NORMS)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one patch, whatever its length: fewer frames are repeated."""
        total = FRAMES * (FFT // 2 + 1) * BANDS
        for out, inputs, *kernel in KERNELS.values():
            if kernel:
                time, bands = kernel
                places = FRAMES * (BANDS - bands + 1 if inputs == 1 else 1)
                total += places * out * inputs * time * bands
            else:
                total += out * inputs
        return 2 * total

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the largest convolution of the front end, beside all its results."""
        front = [(out, BANDS - kernel[-1] + 1) for out, inputs, *kernel in KERNELS.values() if kernel and inputs == 1]
        largest = max(out * bands for out, bands in front)
        return batch * FRAMES * width * (largest + sum(out for out, _ in front))


FULL = Config()
