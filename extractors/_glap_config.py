"""Sizes of GLAP's audio tower: Dasheng's base encoder and a projection."""

from __future__ import annotations

from dataclasses import dataclass

from ._checkpoint import Shapes
from ._dasheng_config import Config as Dasheng


@dataclass(frozen=True)
class Config(Dasheng):
    """Sizes of the tower (Dinkel et al. 2025, arXiv:2506.11350).

    joint : width of the space that audio shares with text
    """

    joint: int = 1024

    def tensors(self) -> Shapes:
        """Return every tensor that is used, under its published name without ``audio_encoder.model.``."""
        out = dict(super().tensors())
        for name, inputs in (("audio_proj.0", self.width), ("audio_proj.2", self.joint)):
            out[f"{name}.weight"], out[f"{name}.bias"] = (self.joint, inputs), (self.joint,)
        return out

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window."""
        return super().operations(samples) + 2 * self.joint * (self.width + self.joint)


FULL = Config(width=768, depth=12, heads=12)
TINY = Config(width=24, depth=2, heads=2, joint=12)
