"""Sizes of SONAR's text encoder, and the codes of its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass

from ._checkpoint import Shapes

PREFIX, END, SHIFT = 256_047, 3, 1
"""Codes of ``eng_Latn``, with which an English text starts, and of the end; what is added to a piece's number."""


@dataclass(frozen=True)
class TextConfig:
    """Sizes of the encoder (Duquenne et al. 2023, arXiv:2308.11466) and of a projection behind it.

    longest : codes of a text; what is longer is cut off
    joint : width of the space that texts share with audio
    """

    vocabulary: int = 256_206
    width: int = 1024
    depth: int = 24
    heads: int = 16
    ffn: int = 8192
    longest: int = 514
    joint: int = 1024

    def tensors(self) -> Shapes:
        """Return every tensor under its published name without ``text_encoder.model.``."""
        d = self.width
        out: dict[str, tuple[int, ...]] = {"encoder_frontend.embed.weight": (self.vocabulary, d)}

        def pair(name: str, *shape: int) -> None:
            out[f"{name}.weight"], out[f"{name}.bias"] = shape, shape[:1]

        for at in range(self.depth):
            layer = f"encoder.layers.{at}"
            pair(f"{layer}.self_attn_layer_norm", d)
            for part in ("q_proj", "k_proj", "v_proj", "output_proj"):
                pair(f"{layer}.self_attn.{part}", d, d)
            pair(f"{layer}.ffn_layer_norm", d)
            pair(f"{layer}.ffn.inner_proj", self.ffn, d)
            pair(f"{layer}.ffn.output_proj", d, self.ffn)
        pair("layer_norm", d)
        pair("text_proj.0", self.joint, d)
        pair("text_proj.2", self.joint, self.joint)
        return out
