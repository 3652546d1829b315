"""SONAR's text encoder in torch, and a projection behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F  # noqa: N812

from bench.errors import BenchError

from ._sonar_config import END, PREFIX, SHIFT, TextConfig
from ._transformer import Attention, Block, FeedForward, Norm, Tensors

FIRST = 2
"""The position of a text's first code, as in fairseq."""


class SonarNet:
    """Codes of one text to its unit vector; the tensors of `TextConfig.tensors` are taken out of the dict."""

    def __init__(self, config: TextConfig, tensors: Tensors):
        self.longest = config.longest
        self.embed = tensors.pop("encoder_frontend.embed.weight")
        self.blocks = [_block(config, tensors, f"encoder.layers.{at}") for at in range(config.depth)]
        self.norm = Norm(tensors, "layer_norm", config.width)
        self.joint = FeedForward(tensors, "text_proj.0", "text_proj.2", torch.float32, "relu")

    def __call__(self, codes: Sequence[int]) -> torch.Tensor:
        """Map S codes to (joint,)."""
        x = self.embed[torch.tensor(codes[: self.longest], device=self.embed.device)].float()
        x = (x * math.sqrt(x.shape[1]) + positions(*x.shape).to(x.device))[None]
        for block in self.blocks:
            x = block(x)
        return F.normalize(self.joint(self.norm(x).mean(1))[0], dim=0)


def positions(length: int, width: int) -> torch.Tensor:
    """Return sines, then cosines (length, width), of frequencies from 1 down to 1 / 10000."""
    half = width // 2
    speed = torch.exp(torch.arange(half) * (-math.log(10_000.0) / (half - 1)))
    angles = torch.arange(FIRST, FIRST + length)[:, None] * speed
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def codes_of(texts: Sequence[str], model: bytes, extra: str) -> list[list[int]]:
    """Return the codes of English texts.

    Parameters
    ----------
    model : a file of SentencePiece
    extra : name of this project's extra that installs SentencePiece, for the message

    Raises
    ------
    BenchError
        SentencePiece is not installed.

    """
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise BenchError(
            f"texts need SentencePiece, which is not installed: pip install 'music-embedding-bench[{extra}]'."
        ) from error
    pieces = SentencePieceProcessor(model_proto=model)
    return [[PREFIX, *(piece + SHIFT for piece in pieces.encode(text, out_type=int)), END] for text in texts]


def _block(config: TextConfig, tensors: Tensors, name: str) -> Block:
    names = ("q_proj", "k_proj", "v_proj", "output_proj")
    return Block(
        Attention(tensors, f"{name}.self_attn", config.heads, torch.float32, names),
        Norm(tensors, f"{name}.self_attn_layer_norm", config.width),
        FeedForward(tensors, f"{name}.ffn.inner_proj", f"{name}.ffn.output_proj", torch.float32, "relu"),
        Norm(tensors, f"{name}.ffn_layer_norm", config.width),
        before=True,
    )
