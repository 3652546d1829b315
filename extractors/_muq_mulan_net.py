"""MuQ-MuLan's towers in torch (Zhu et al. 2025, arXiv:2501.01108): MuQ and XLM-RoBERTa, each below a transformer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import torch
from torch import nn
from torch.nn import functional as fn

from ._modules import NetModule
from ._muq_mulan_sizes import Sizes
from ._musicfm_net import MusicFMNet
from ._packed_linear import pack

SCALE = 8.0
"""Factor of the cosines between queries and keys."""


class MuQMuLanNet(NetModule):
    """Waves (B, N) to MuQ's last states (B, T, 1024) and one unit vector (B, 1, 512)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.muq = MusicFMNet(**asdict(sizes.muq))
        self.head = Head(sizes, sizes.muq.width)

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to MuQ's spectrogram."""
        return self.muq.front_end(waves)

    def forward(self, mel: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield MuQ's last states, then the vector in the common space."""
        *_, states = self.muq(mel)
        yield states
        yield self.head(states.float())

    def optimize(self, dtype: torch.dtype) -> None:
        """Prepare MuQ for inference, and pack the linear maps."""
        self.muq.optimize(dtype)
        pack(self.head, dtype)


class Head(nn.Module):
    """A linear map, a transformer, the mean over time, a map into the common space.

    always : whether there is a first map even where `inputs` is the width
    """

    def __init__(self, sizes: Sizes, inputs: int, *, always: bool = True) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, sizes.width) if always or inputs != sizes.width else nn.Identity()
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(sizes.width, sizes.heads, sizes.head), FeedForward(sizes.width, sizes.hidden)])
            for _ in range(sizes.depth)
        )
        self.to_latents = nn.Linear(sizes.width, sizes.joint)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map states (B, T, inputs) to unit vectors (B, 1, joint)."""
        x = self.proj(x).float()
        for block in self.layers:
            for part in block.children():
                x = x + part(x)
        return fn.normalize(self.to_latents(x.mean(1, keepdim=True)).float(), dim=-1)


class Scaled(nn.Module):
    """Layer normalisation with a factor and no offset."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.learned_gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (..., width)."""
        return fn.layer_norm(x, x.shape[-1:], self.learned_gamma)


class Attention(nn.Module):
    """Attention over cosines of queries and keys, each channel of both scaled (Dehghani et al. 2023, as QK norm)."""

    def __init__(self, width: int, heads: int, head: int) -> None:
        super().__init__()
        self.norm, self.heads = Scaled(width), heads
        self.to_q = nn.Linear(width, heads * head, bias=False)
        self.to_kv = nn.Linear(width, 2 * heads * head, bias=False)
        self.q_scale, self.k_scale = nn.Parameter(torch.empty(head)), nn.Parameter(torch.empty(head))
        self.to_out = nn.Sequential(nn.Linear(heads * head, width, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to the same shape."""
        x = self.norm(x)
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_q(x), *self.to_kv(x).chunk(2, dim=-1))
        )
        q, k = fn.normalize(q.float(), dim=-1) * self.q_scale, fn.normalize(k.float(), dim=-1) * self.k_scale
        y = fn.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, scale=SCALE)
        return self.to_out(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FeedForward(nn.Sequential):
    """A gated GELU between two linear maps; places 2 and 3 hold no tensors, so that names are upstream's."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(
            Scaled(width),
            nn.Linear(width, 2 * hidden, bias=False),
            Gated(),
            nn.Identity(),
            nn.Linear(hidden, width, bias=False),
        )


class Gated(nn.Module):
    """The first half of the channels times the GELU of the second."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., 2 C) to (..., C)."""
        x, gate = x.chunk(2, dim=-1)
        return x * fn.gelu(gate)


class TextNet(nn.Module):
    """Tokens (1, T) of one text to a unit vector (1, 1, 512)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        from transformers import XLMRobertaConfig, XLMRobertaModel

        self.roberta = XLMRobertaModel(XLMRobertaConfig(**sizes.text), add_pooling_layer=False)
        self.head = Head(sizes, sizes.text["hidden_size"], always=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens (1, T) with their marks of begin and end to (1, 1, joint)."""
        return self.head(self.roberta(input_ids=tokens).last_hidden_state)  # type: ignore[no-any-return]
