"""GLAP's audio tower in torch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F  # noqa: N812

from ._dasheng_net import DashengNet
from ._glap_config import Config
from ._transformer import FeedForward, Tensors


class GLAPNet(DashengNet):
    """Waves (B, N), 10.08 s at most, to the states of Dasheng's layers and to unit vectors (B, 1, joint)."""

    def __init__(self, config: Config, tensors: Tensors, dtype: torch.dtype):
        self.joint = FeedForward(tensors, "audio_proj.0", "audio_proj.2", dtype, "relu")
        super().__init__(config, tensors, dtype)

    def __call__(self, patches: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the states of the layers, then the unit vectors."""
        for x in super().__call__(patches):
            yield x
        yield F.normalize(self.joint(x.mean(1)).float(), dim=-1)[:, None]
