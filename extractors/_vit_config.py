"""Sizes of a vision transformer over the patches of a spectrogram. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ._checkpoint import Shapes
from ._config import NetworkConfig

RATIO = 4
"""Width of a feed-forward net over the width of the network."""


@dataclass(frozen=True)
class ViT(NetworkConfig):
    """Blocks with norms before attention and feed-forward net, and a norm at the end (Dosovitskiy et al. 2021)."""

    width: int
    depth: int
    heads: int

    def block_tensors(self) -> Shapes:
        """Return the tensors of the blocks and of the last norm, under the names of timm's implementation."""
        d, out = self.width, dict[str, tuple[int, ...]]()

        def pair(name: str, *shape: int) -> None:
            out[f"{name}.weight"], out[f"{name}.bias"] = shape, shape[:1]

        for at in range(self.depth):
            pair(f"blocks.{at}.norm1", d)
            pair(f"blocks.{at}.attn.qkv", 3 * d, d)
            pair(f"blocks.{at}.attn.proj", d, d)
            pair(f"blocks.{at}.norm2", d)
            pair(f"blocks.{at}.mlp.fc1", RATIO * d, d)
            pair(f"blocks.{at}.mlp.fc2", d, RATIO * d)
        pair("norm", d)
        return out

    def block_operations(self, patches: int) -> int:
        """Return the multiplications of all blocks."""
        return self.depth * patches * (4 * self.width**2 + 2 * RATIO * self.width**2 + 2 * patches * self.width)

    def block_activations(self, patches: int, width: int) -> int:
        """Return the bytes of a feed-forward net beside the streams, for one window."""
        return patches * self.width * (3 * 4 + (2 * RATIO if width < 4 else RATIO + 1) * width)
