"""A transformer encoder over batches without padding, shared by BERT4Rec and SASRec.

Rows of all sequences lie end to end (P, d); attention alone lays them side by side. The last layer is
computed at the asked rows only: its keys and values need all positions, its queries, its feed-forward
net and its norms do not.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ._sequences import Batch, Group, Picked

Style = Literal["bert", "sasrec"]


class Encoder(nn.Module):
    """Layers of self-attention over (P, d) rows.

    style : ``bert`` normalises after each sublayer, looks both ways and uses GELU (Devlin et al. 2019;
        equal to ``transformers.BertModel`` without its embeddings); ``sasrec`` normalises the queries
        only, whose norm is also what the residual adds to, looks back only and uses ReLU (Kang &
        McAuley 2018)

    """

    def __init__(self, style: Style, width: int, layers: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(style, width, heads, ffn, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-8) if style == "sasrec" else nn.Identity()
        self.apply(_initialise)

    def forward(self, x: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Map the rows (P, d) of a batch to the states (M, d) of its picked rows."""
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x = layer(x, batch, batch.picked if number == last else None)
        return self.norm(x)  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention and a feed-forward net, each with a residual."""

    def __init__(self, style: Style, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.style, self.heads, self.dropout = style, heads, dropout
        eps = 1e-12 if style == "bert" else 1e-8
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.first, self.second = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)

    def forward(self, x: torch.Tensor, batch: Batch, picked: Picked | None) -> torch.Tensor:
        """Map (P, d) to (P, d), or to the picked rows (M, d)."""
        asked = x if picked is None else _take(x, picked.row)
        if self.style == "sasrec":
            query = self.first(asked)
            x = query + self.out(self._attend(self.query(query), self.key_value(x), batch, picked))
            x = self.second(x)
            return x + self._drop(self.down(self._drop(F.relu(self.up(x)))))
        mixed = self._attend(self.query(asked), self.key_value(x), batch, picked)
        x = self.first(asked + self._drop(self.out(mixed)))
        return self.second(x + self._drop(self.down(F.gelu(self.up(x)))))  # type: ignore[no-any-return]

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, self.dropout, self.training)

    def _attend(
        self, query: torch.Tensor, key_value: torch.Tensor, batch: Batch, picked: Picked | None
    ) -> torch.Tensor:
        """Queries (P or M, d) look at keys and values (P, 2d) of their own sequence."""
        asked, sizes = (batch.groups, batch.sizes) if picked is None else (picked.groups, picked.sizes)
        causal = self.style == "sasrec"
        mixed = []
        for q, kv, mine, group in zip(
            torch.split(query, sizes), torch.split(key_value, batch.sizes), asked, batch.groups, strict=True
        ):
            if not len(q):
                continue
            keys, values = self._beside(kv, group, 2).unbind(0)  # each (B, heads, T, d / heads)
            # A causal layer is asked for every position, or for the last of each sequence, which sees all.
            triangle = causal and mine.length == group.length
            mask = None if triangle else group.mask  # padding comes last, where no earlier position looks
            x = F.scaled_dot_product_attention(
                self._beside(q, mine, 1)[0],
                keys,
                values,
                attn_mask=mask,
                dropout_p=self.dropout if self.training else 0.0,
                is_causal=triangle and mine.length > 1,
            )
            x = x.transpose(1, 2).reshape(mine.sequences * mine.length, -1)
            mixed.append(x if mine.place is None else _take(x, mine.place))
        if not mixed:  # a small batch of which nothing was hidden
            return query
        return torch.cat(mixed) if len(mixed) != 1 else mixed[0]

    def _beside(self, x: torch.Tensor, group: Group, parts: int) -> torch.Tensor:
        """Lay rows (n, parts x d) side by side: (parts, B, heads, T, d / heads)."""
        if group.place is not None:
            x = _put(x, group.place, group.sequences * group.length)
        return x.view(group.sequences, group.length, parts, self.heads, -1).permute(2, 0, 3, 1, 4)


class _Take(torch.autograd.Function):
    """Rows of x by distinct indexes; the gradient is put, not added: index_add_ goes row by row."""

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
    """N(0, 0.02) weights and zero biases, as both originals."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
