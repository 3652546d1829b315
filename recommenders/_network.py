"""Item rows, positions and encoder put together."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ._encoder import Encoder, Style
from ._items import ItemPlan, ItemSide
from ._sequences import Batch


class Network(nn.Module):
    """Batch -> states (M, d) at its picked rows, and their competitors.

    base : vectors (V, D) of the vocabulary
    positions : places in the longest sequence, training and prediction alike
    norm_inputs : LayerNorm on item rows before positions are added: tables differ by orders of magnitude
        in their norms, and positions and the mask start at N(0, 0.02)
    token_type : one more learned row, added at every position, as BERT has it when all tokens are of one
        type: nothing that positions could not learn, but learned sooner, for every step of Adam moves both
    """

    def __init__(
        self,
        base: torch.Tensor,
        plan: ItemPlan,
        style: Style,
        *,
        positions: int,
        layers: int,
        heads: int,
        ffn: int,
        dropout: float,
        norm_inputs: bool,
        token_type: bool = False,
    ) -> None:
        super().__init__()
        self.items = ItemSide(base, plan)
        self.width = width = self.items.width
        self.style, self.dropout = style, dropout
        self.positions = nn.Parameter(torch.randn(positions, width) * 0.02)
        self.token_type = nn.Parameter(torch.randn(width) * 0.02) if token_type else None
        self.norm_inputs = nn.LayerNorm(width) if norm_inputs else None
        # SASRec adds positions to rows of its own scaled by sqrt(d), and normalises later.
        self.scale = width**0.5 if style == "sasrec" and not norm_inputs else 1.0
        self.norm = nn.LayerNorm(width, eps=1e-12) if style == "bert" else nn.Identity()
        self.plateau: nn.Module | None = None  # of the training's rate: part of what a checkpoint holds
        self.encoder = Encoder(style, width, layers, heads, ffn, dropout)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return states (M, d) and competitors (V or V + extra, d)."""
        inputs, competitors = self.items()
        return self.encode(batch, inputs), competitors

    def encode(self, batch: Batch, inputs: torch.Tensor) -> torch.Tensor:
        """Return states (M, d) for input rows (V + 1 or more, d)."""
        x = F.embedding(batch.token, inputs)
        x = self.norm_inputs(x) if self.norm_inputs is not None else x * self.scale
        x = self.norm(x + F.embedding(batch.position, self.places()))
        return self.encoder(F.dropout(x, self.dropout, self.training), batch)  # type: ignore[no-any-return]

    def places(self) -> torch.Tensor:
        """Return what is added at each place of a sequence, (positions, d)."""
        return self.positions if self.token_type is None else self.positions + self.token_type
