"""The loss of BPR, whose gradients are sums of table rows.

A step with P pairs needs 2 P products of a user's and a track's factors, and as many weighted rows for the gradients.
Autograd would copy these rows several times; here the products are a sampled dense-dense product, and each
gradient is the product of a sparse matrix and a table. Loss and gradients equal those of the plain form, apart from
the order of summation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from ._negatives import counts
from ._shallow_net import dots


def pair_loss(
    users: torch.Tensor,
    items: torch.Tensor,
    bias: torch.Tensor,
    user: torch.Tensor,
    played: torch.Tensor,
    other: torch.Tensor,
    l2: float,
) -> torch.Tensor:
    """Return the mean over pairs of ``-log sigmoid(u . i + b_i - u . j - b_j) + l2 (|u|^2 + |i|^2 + |j|^2)``; a scalar.

    Parameters
    ----------
    users, items, bias : factors (U, D) and (H, D), and the biases (H, 1) of the tracks
    user, played, other : rows (P,) of the users, the tracks i they played and the tracks j they did not

    """
    return _PairLoss.apply(users, items, bias, user, torch.stack([played, other], dim=1), l2)  # type: ignore[no-any-return, no-untyped-call]


class _PairLoss(torch.autograd.Function):
    """Loss and gradients in one pass; the backward pass only multiplies them."""

    @staticmethod
    def forward(
        ctx: Any,
        users: torch.Tensor,
        items: torch.Tensor,
        bias: torch.Tensor,
        user: torch.Tensor,
        pair: torch.Tensor,
        l2: float,
    ) -> torch.Tensor:
        count = len(user)
        score = dots(functional.embedding(user, users), items, pair) + bias[:, 0][pair]
        difference = score[:, 0] - score[:, 1]
        slope = torch.sigmoid(-difference) / count
        weight, item, user = torch.stack([-slope, slope], dim=1).flatten(), pair.flatten(), user.repeat_interleave(2)
        by_user = weighted_sums(user, item, weight, items, len(users))
        by_item = weighted_sums(item, user, weight, users, len(items))
        lengths = torch.zeros((), device=users.device)
        # A user occurs twice in a pair, and counts once.
        for table, rows, sums, share in ((users, user, by_user, 0.5), (items, item, by_item, 1.0)):
            often = counts(rows, len(table))[:, None] * (share * l2 / count)
            lengths += torch.dot(often[:, 0], torch.linalg.vector_norm(table, dim=1).square_())
            sums.addcmul_(often, table, value=2.0)
        # Not `save_for_backward`: autograd copies what the context still holds.
        ctx.gradients = [by_user, by_item, counts(item, len(items), weight).to(bias.dtype)[:, None]]
        return lengths - functional.logsigmoid(difference).mean()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        return (*(each.mul_(grad) for each in gradients), None, None, None)


def weighted_sums(
    row: torch.Tensor, column: torch.Tensor, weight: torch.Tensor, table: torch.Tensor, size: int
) -> torch.Tensor:
    """Return sums (size, D): row `column[k]` of `table` (M, D), times `weight[k]`, is added to row `row[k]`."""
    if table.device.type != "cpu":
        return added_rows(row, column, weight, table, size)
    from scipy.sparse import coo_array

    matrix = coo_array((weight.numpy(), (row.numpy(), column.numpy())), (size, len(table)))
    return torch.from_numpy(matrix @ table.detach().numpy())


def added_rows(
    row: torch.Tensor, column: torch.Tensor, weight: torch.Tensor, table: torch.Tensor, size: int
) -> torch.Tensor:
    """Compute `weighted_sums` by copying the rows, which takes ten times as long on a CPU."""
    sums = table.new_zeros(size, table.shape[1])
    return sums.index_add_(0, row, weight[:, None] * functional.embedding(column, table))
