"""The Shallow Net's tables and towers, and its hinge loss, which computes no row twice.

A step with P pairs and K negatives needs P (K + 1) cosines between little more than n_users + P distinct
vectors. So each distinct user and item goes through its tower once; the cosines are a sampled dense-dense
product, and their gradients are two sums of rows weighted by the hinge. No array has the size (P K, width). Loss
and gradients equal those of the plain form, apart from the order of summation.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn import functional

from bench.training.plateau import Plateau

from ._negatives import counts, distinct_rows

EPSILON = 1e-8
"""Smallest length that a tower's output is divided by: all outputs of a ReLU may be zero."""
COPIED = 1 << 28
"""Numbers that `gathered` copies at once: 1 GiB of float32."""


@dataclass(frozen=True)
class PairBatch:
    """P positive pairs, with K negatives each: other users for the item, other items for the user."""

    user: torch.Tensor
    """(P,)"""
    item: torch.Tensor
    """(P,)"""
    other_users: torch.Tensor | None
    """(P, K)"""
    other_items: torch.Tensor | None
    """(P, K)"""


class ShallowNet(torch.nn.Module):
    """Tables of users and items, and a tower for each or for both; all outputs have length 1.

    A tower is a linear layer and a ReLU. ``delta`` adds to each item vector c a trained vector whose
    length is at most ``bound * |c|`` (Pembek et al. 2025, RecSys).
    """

    def __init__(
        self,
        users: torch.Tensor,
        items: torch.Tensor,
        *,
        hidden: int,
        tower: Literal["shared", "separate"],
        train_users: bool,
        train_items: Literal["frozen", "trainable", "delta"],
        bound: float,
        plateau: Plateau,
    ):
        super().__init__()
        width = items.shape[1]
        hidden = hidden or width
        self.tower = torch.nn.Linear(width, hidden)
        self.item_tower = self.tower if tower == "shared" else torch.nn.Linear(width, hidden)
        self.plateau = plateau
        # Frozen tables are not persistent: a checkpoint holds only what training changes.
        if train_users:
            self.user = torch.nn.Parameter(users)
        else:
            self.register_buffer("user", users, persistent=False)
        if train_items == "trainable":
            self.item = torch.nn.Parameter(items)
        else:
            self.register_buffer("item", items, persistent=False)
        self.delta = torch.nn.Parameter(torch.zeros_like(items)) if train_items == "delta" else None
        self.bound = bound

    def vectors(self, rows: torch.Tensor | None = None, base: torch.Tensor | None = None) -> torch.Tensor:
        """Return item vectors (n, D) before the tower; `base` (N, D) replaces the table that deltas are added to."""
        table = _rows(self.item if base is None else base, rows)
        if self.delta is None:
            return table
        delta = _rows(self.delta, rows)
        longest = self.bound * torch.linalg.vector_norm(table, dim=1, keepdim=True)
        length = torch.linalg.vector_norm(delta, dim=1, keepdim=True)
        bounded: torch.Tensor = delta * (longest / torch.maximum(length, longest).clamp_min(EPSILON))
        return table + bounded

    def users(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """Return the tower outputs (n, H) of users, at length 1."""
        return _unit(self.tower(_rows(self.user, rows)))

    def items(self, rows: torch.Tensor | None = None, base: torch.Tensor | None = None) -> torch.Tensor:
        """Return the tower outputs (n, H) of items, at length 1."""
        return _unit(self.item_tower(self.vectors(rows, base)))

    def loss(self, batch: PairBatch, margin: float) -> torch.Tensor:
        """Return the mean over pairs and negatives of max(0, margin - cos(positive) + cos(negative)); a scalar."""
        more_users = [] if batch.other_users is None else [batch.other_users]
        more_items = [] if batch.other_items is None else [batch.other_items]
        user_rows, (user, *other_users) = distinct_rows(len(self.user), batch.user, *more_users)
        item_rows, (item, *other_items) = distinct_rows(len(self.item), batch.item, *more_items)
        users, items = self.users(user_rows), self.items(item_rows)
        user_of, item_of = functional.embedding(user, users), functional.embedding(item, items)
        positive = (user_of * item_of).sum(dim=1, keepdim=True)
        negative = [dots(item_of, users, other) for other in other_users]
        negative += [dots(user_of, items, other) for other in other_items]
        hinge = torch.cat([torch.relu(margin - positive + each) for each in negative], dim=1)
        mean: torch.Tensor = hinge.mean()
        return mean


def dots(left: torch.Tensor, table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return products (P, K) of row p of `left` (P, H) with rows ``index[p]`` (K,) of `table` (M, H)."""
    if len(table) <= 2 * index.shape[1]:  # computing all products is then as fast
        products: torch.Tensor = (left @ table.T).gather(1, index)
        return products
    return _Dots.apply(left, table, index)  # type: ignore[no-any-return, no-untyped-call]


class _Dots(torch.autograd.Function):
    """Sampled dense-dense product; backward by weighted sums of rows (`embedding_bag`)."""

    @staticmethod
    def forward(ctx: Any, left: torch.Tensor, table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(left, table, index)
        # For the CPU, torch has the sampled product only in builds with MKL.
        sampled: bool = left.device.type == "cpu" and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        return _sampled(left, table, index) if sampled else gathered(left, table, index)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        left, table, index = ctx.saved_tensors
        pairs, count = index.shape
        flat, weight = index.flatten(), grad.flatten()
        to_left = to_table = None
        if ctx.needs_input_grad[0]:
            starts = torch.arange(0, pairs * count, count, device=index.device)
            to_left = functional.embedding_bag(flat, table, starts, mode="sum", per_sample_weights=weight)
        if ctx.needs_input_grad[1]:
            order = flat.argsort(stable=True)  # the order of summation is always the same
            occurs = counts(flat, len(table))
            starts = occurs.cumsum(0) - occurs
            to_table = functional.embedding_bag(
                order // count, left, starts, mode="sum", per_sample_weights=weight[order]
            )
        return to_left, to_table, None


def _sampled(left: torch.Tensor, table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Compute `dots` by torch's sampled product, which copies nothing and takes an eighth of the time of `gathered`."""
    pairs, count = index.shape
    pointers = torch.arange(0, pairs * count + 1, count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns once a process that its sparse rows are a beta
        mask = torch.sparse_csr_tensor(
            pointers, index.flatten(), left.new_zeros(pairs * count), (pairs, len(table)), check_invariants=False
        )
        values: torch.Tensor = torch.sparse.sampled_addmm(mask, left, table.T, beta=0.0).values()
    return values.view(pairs, count)


def gathered(left: torch.Tensor, table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Compute `dots` by copying the rows, `COPIED` numbers at a time."""
    step = max(1, COPIED // (index.shape[1] * table.shape[1]))
    parts = zip(torch.split(left, step), torch.split(index, step), strict=True)
    return torch.cat([torch.bmm(table[rows], part[:, :, None]).squeeze(2) for part, rows in parts])


def random_table(rows: int, width: int, device: str) -> torch.Tensor:
    """Return a table (rows, width) drawn from N(0, 1), as ``torch.nn.Embedding`` does."""
    return torch.randn(rows, width, device=device)


def means(table: torch.Tensor, item: torch.Tensor, indptr: torch.Tensor) -> torch.Tensor:
    """Return the mean vector (n_users, D) of each user's items; users without items get the mean of the others."""
    found = functional.embedding_bag(item, table, indptr[:-1], mode="mean")
    empty = indptr[1:] == indptr[:-1]
    if bool(empty.any()):
        found[empty] = found[~empty].mean(dim=0)
    return found


def _rows(table: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    return table if rows is None else functional.embedding(rows, table)


def _unit(outputs: torch.Tensor) -> torch.Tensor:
    return functional.normalize(torch.relu(outputs), dim=1, eps=EPSILON)
