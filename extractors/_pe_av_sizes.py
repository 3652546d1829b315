"""Sizes of PE-AV's audio tower. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._dac_config import Config as Codec


@dataclass(frozen=True)
class Sizes:
    """Sizes of the audio tower.

    width, hidden, depth, heads : of the transformer and of its feed-forward nets
    joint : of the common space
    bottleneck : width of the codec's latents
    codec : of the convolutions below the transformer
    """

    width: int
    hidden: int
    depth: int
    heads: int
    joint: int = 1024
    bottleneck: int = 128
    codec: Codec = field(default_factory=lambda: Codec(ratios=(2, 8, 10, 12)))
