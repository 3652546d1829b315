"""CLAP's text tower: RoBERTa-base and a projection into the space that text shares with audio."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch.nn import functional as F  # noqa: N812

from bench.errors import BenchError

from ._clap_config import FIRST, LONGEST, TextConfig
from ._transformer import Attention, Block, FeedForward, Linear, Norm, Tensors, linear


class TextNet:
    """Tokens of one text to its unit vector.

    Parameters
    ----------
    tensors : as `TextConfig.tensors` lists them; they are taken out of the dict

    """

    def __init__(self, config: TextConfig, tensors: Tensors):
        names = ("word", "position", "token_type")
        self.words, self.positions, kinds = (tensors.pop(f"embeddings.{name}_embeddings.weight") for name in names)
        self.kind = kinds[0]
        self.norm = Norm(tensors, "embeddings.LayerNorm", config.width)
        self.blocks = [_block(config, tensors, f"encoder.layer.{at}") for at in range(config.depth)]
        self.pooler: Linear = linear(tensors, "pooler.dense", dtype=torch.float32)
        up, down = "text_projection.linear1", "text_projection.linear2"
        self.joint = FeedForward(tensors, up, down, torch.float32, "relu")

    def __call__(self, tokens: Sequence[int]) -> torch.Tensor:
        """Map T tokens to the unit vector (joint,)."""
        rows = torch.tensor(tokens)
        x = self.words[rows] + self.positions[FIRST : FIRST + len(rows)] + self.kind
        x = self.norm(x)[None]
        for block in self.blocks:
            x = block(x)
        return F.normalize(self.joint(self.pooler(x[:, 0]).tanh()), dim=-1)[0]


class Tokenizer:
    """RoBERTa's byte-level BPE: a text to its tokens, at most `LONGEST`.

    Parameters
    ----------
    vocabulary, merges : the contents of the published vocab.json and merges.txt

    Raises
    ------
    BenchError
        When the package tokenizers is not installed.

    """

    def __init__(self, vocabulary: bytes, merges: bytes):
        try:
            from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
        except ImportError as error:
            raise BenchError("texts need the package tokenizers: pip install tokenizers.") from error
        words: dict[str, int] = json.loads(vocabulary)
        lines = merges.decode().split("\n")
        pairs = [
            (left, right) for left, _, right in (line.partition(" ") for line in lines) if right and left != "#version:"
        ]
        self._tokenizer = Tokenizer(models.BPE(vocab=words, merges=pairs))
        self._tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        start, end = "<s>", "</s>"
        self._tokenizer.add_special_tokens([AddedToken(start), AddedToken(end)])
        ends = ((end, words[end]), (start, words[start]))
        self._tokenizer.post_processor = processors.RobertaProcessing(*ends, add_prefix_space=False)
        self._tokenizer.enable_truncation(LONGEST)

    def __call__(self, text: str) -> list[int]:
        """Return the tokens of a text, its start and end included."""
        return list(self._tokenizer.encode(text).ids)


def _block(config: TextConfig, tensors: Tensors, name: str) -> Block:
    dtype = torch.float32
    names = ("self.query", "self.key", "self.value", "output.dense")
    attention = Attention(tensors, f"{name}.attention", config.heads, dtype, names)
    first = Norm(tensors, f"{name}.attention.output.LayerNorm", config.width)
    feed = FeedForward(tensors, f"{name}.intermediate.dense", f"{name}.output.dense", dtype)
    return Block(attention, first, feed, Norm(tensors, f"{name}.output.LayerNorm", config.width), before=False)
