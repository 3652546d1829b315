"""A transformer encoder over batches without padding, shared by BERT4Rec and SASRec.

The rows of all sequences stand end to end (P, d); only attention arranges them as (sequence, position). The
last layer is computed at the picked rows only: its keys and values need all positions, its queries, its
feed-forward net and its norms do not.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Group, Picked, SequenceBatch
from .item_encoder import ItemEncoder, ItemEncoderConfig

Style = Literal["bert", "sasrec"]


class SequenceNetwork(nn.Module):
    """Items, positions and encoder: a batch -> states (M, d) at its picked rows, and competitors.

    base : vectors (V, D) of the vocabulary
    positions : length of the longest sequence in training and prediction
    norm_inputs : LayerNorm on item rows before positions are added: the norms of tables differ by orders of
        magnitude, and positions and the mask start at N(0, 0.02)
    token_type : one more learned row, added at every position, as in BERT when all tokens have one type.
        Positions could learn it as well, but this is faster, as each step of Adam moves both
    """

    def __init__(
        self,
        base: torch.Tensor,
        config: ItemEncoderConfig,
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
        self.items = ItemEncoder(base, config)
        self.width = width = self.items.width
        self.style, self.dropout = style, dropout
        self.positions = nn.Parameter(torch.randn(positions, width) * 0.02)
        self.token_type = nn.Parameter(torch.randn(width) * 0.02) if token_type else None
        self.norm_inputs = nn.LayerNorm(width) if norm_inputs else None
        # SASRec adds positions to rows of its own scaled by sqrt(d), and normalises later.
        self.scale = width**0.5 if style == "sasrec" and not norm_inputs else 1.0
        self.norm = nn.LayerNorm(width, eps=1e-12) if style == "bert" else nn.Identity()
        self.plateau: nn.Module | None = None  # state of the learning rate, so that checkpoints hold it
        self.encoder = Transformer(style, width, layers, heads, ffn, dropout)

    def forward(self, batch: SequenceBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return states (M, d) and competitors (V or V + extra, d)."""
        inputs, competitors = self.items()
        return self.encode(batch, inputs), competitors

    def encode(self, batch: SequenceBatch, inputs: torch.Tensor) -> torch.Tensor:
        """Return states (M, d) for input rows (V + 1 or more, d)."""
        x = F.embedding(batch.token, inputs)
        x = self.norm_inputs(x) if self.norm_inputs is not None else x * self.scale
        x = self.norm(x + F.embedding(batch.position, self.position_rows()))
        return self.encoder(F.dropout(x, self.dropout, self.training), batch)  # type: ignore[no-any-return]

    def position_rows(self) -> torch.Tensor:
        """Return the rows (positions, d) that are added to a sequence."""
        return self.positions if self.token_type is None else self.positions + self.token_type


class Transformer(nn.Module):
    """Layers of self-attention over (P, d) rows.

    style : ``bert`` normalises after each sublayer, attends in both directions and uses GELU (Devlin et al.
        2019; equal to ``transformers.BertModel`` without its embeddings); ``sasrec`` normalises the queries
        only, adds the residual to these normalised queries, attends to earlier positions only and uses ReLU
        (Kang & McAuley 2018)

    """

    def __init__(self, style: Style, width: int, layers: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(style, width, heads, ffn, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-8) if style == "sasrec" else nn.Identity()
        self.apply(_initialise)

    def forward(self, x: torch.Tensor, batch: SequenceBatch) -> torch.Tensor:
        """Map the rows (P, d) of a batch to the states (M, d) of its picked rows."""
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x = layer(x, batch, batch.picked if number == last else None)
        return self.norm(x)  # type: ignore[no-any-return]


class TransformerLayer(nn.Module):
    """Attention and a feed-forward net, each with a residual."""

    def __init__(self, style: Style, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.style, self.heads, self.dropout = style, heads, dropout
        eps = 1e-12 if style == "bert" else 1e-8
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.first, self.second = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)

    def forward(self, x: torch.Tensor, batch: SequenceBatch, picked: Picked | None) -> torch.Tensor:
        """Map (P, d) to (P, d), or to the picked rows (M, d)."""
        rows = x if picked is None else _take(x, picked.row)
        if self.style == "sasrec":
            query = self.first(rows)
            x = query + self.out(self._attend(self.query(query), self.key_value(x), batch, picked))
            x = self.second(x)
            return x + self._drop(self.down(self._drop(F.relu(self.up(x)))))
        mixed = self._attend(self.query(rows), self.key_value(x), batch, picked)
        x = self.first(rows + self._drop(self.out(mixed)))
        return self.second(x + self._drop(self.down(F.gelu(self.up(x)))))  # type: ignore[no-any-return]

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, self.dropout, self.training)

    def _attend(
        self, query: torch.Tensor, key_value: torch.Tensor, batch: SequenceBatch, picked: Picked | None
    ) -> torch.Tensor:
        """Let queries (P or M, d) attend to keys and values (P, 2d) of their own sequence."""
        query_groups, sizes = (batch.groups, batch.sizes) if picked is None else (picked.groups, picked.sizes)
        causal = self.style == "sasrec"
        mixed = []
        for q, kv, query_group, group in zip(
            torch.split(query, sizes), torch.split(key_value, batch.sizes), query_groups, batch.groups, strict=True
        ):
            if not len(q):
                continue
            keys, values = self._side_by_side(kv, group, 2).unbind(0)  # each (B, heads, T, d / heads)
            # A causal layer computes every position, or the last of each sequence, which attends to all.
            triangle = causal and query_group.length == group.length
            mask = None if triangle else group.mask  # padding comes last, and earlier positions do not attend to it
            x = F.scaled_dot_product_attention(
                self._side_by_side(q, query_group, 1)[0],
                keys,
                values,
                attn_mask=mask,
                dropout_p=self.dropout if self.training else 0.0,
                is_causal=triangle and query_group.length > 1,
            )
            x = x.transpose(1, 2).reshape(query_group.sequences * query_group.length, -1)
            mixed.append(x if query_group.place is None else _take(x, query_group.place))
        if not mixed:  # a small batch without masked positions
            return query
        return torch.cat(mixed) if len(mixed) != 1 else mixed[0]

    def _side_by_side(self, x: torch.Tensor, group: Group, parts: int) -> torch.Tensor:
        """Arrange rows (n, parts x d) as (parts, B, heads, T, d / heads)."""
        if group.place is not None:
            x = _put(x, group.place, group.sequences * group.length)
        return x.view(group.sequences, group.length, parts, self.heads, -1).permute(2, 0, 3, 1, 4)


class _Take(torch.autograd.Function):
    """Rows of x by distinct indexes; the gradient is copied, as adding it (index_add_) goes row by row."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(index)
        ctx.rows = len(x)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (index,) = ctx.saved_tensors
        return grad.new_zeros(ctx.rows, grad.shape[1]).index_copy_(0, index, grad), None


class _Put(torch.autograd.Function):
    """The adjoint of `_Take`: rows of x at distinct indexes of a zero array."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, index: torch.Tensor, rows: int) -> torch.Tensor:
        ctx.save_for_backward(index)
        return x.new_zeros(rows, x.shape[1]).index_copy_(0, index, x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return grad.index_select(0, index), None, None


def _take(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return _Take.apply(x, index)  # type: ignore[no-any-return, no-untyped-call]


def _put(x: torch.Tensor, index: torch.Tensor, rows: int) -> torch.Tensor:
    return _Put.apply(x, index, rows)  # type: ignore[no-any-return, no-untyped-call]


def _initialise(module: nn.Module) -> None:
    """Set weights from N(0, 0.02) and biases to zero, as both original models do."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
