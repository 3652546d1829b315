"""A vision transformer in torch, as `_vit_config` describes it."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ._transformer import Attention, Block, FeedForward, Norm, Tensors
from ._vit_config import ViT

EPSILON = 1e-6
"""Epsilon of every norm."""


class Blocks:
    """Patches (B, P, D) to the states after each block; the last one after the norm.

    The tensors of `ViT.block_tensors` are taken out of the dict; matrix products run in `dtype`.
    """

    def __init__(self, config: ViT, tensors: Tensors, dtype: torch.dtype):
        self.blocks = [_block(config, tensors, f"blocks.{at}", dtype) for at in range(config.depth)]
        self.norm = Norm(tensors, "norm", config.width, EPSILON)

    def __call__(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield one state (B, P, D) for each block."""
        for block in self.blocks[:-1]:
            x = block(x)
            yield x
        yield self.norm(self.blocks[-1](x))


def _block(config: ViT, tensors: Tensors, name: str, dtype: torch.dtype) -> Block:
    return Block(
        Attention(tensors, f"{name}.attn", config.heads, dtype, ("qkv", "proj")),
        Norm(tensors, f"{name}.norm1", config.width, EPSILON),
        FeedForward(tensors, f"{name}.mlp.fc1", f"{name}.mlp.fc2", dtype),
        Norm(tensors, f"{name}.norm2", config.width, EPSILON),
        before=True,
    )
