"""Sizes of MuQ-MuLan's towers. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import _musicfm_config as musicfm


@dataclass(frozen=True)
class Sizes:
    """Sizes of both towers; the defaults are those of MuQ-MuLan-large.

    muq : of the network that hears
    width, depth, heads, head : of the transformer on top of it, and of the one on top of the text model
    joint : of the common space
    text : settings of transformers' XLMRobertaConfig
    """

    muq: musicfm.Config = musicfm.FULL
    width: int = 768
    depth: int = 8
    heads: int = 8
    head: int = 64
    joint: int = 512
    text: dict[str, Any] = field(
        default_factory=lambda: {
            "vocab_size": 250_002,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
        }
    )

    @property
    def hidden(self) -> int:
        """Width inside the transformers' feed-forward nets."""
        return self.width * 4 * 2 // 3
