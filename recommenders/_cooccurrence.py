"""The binary matrix of users and tracks, its co-occurrence counts, and what all models without vectors share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.protocols import Interactions

if TYPE_CHECKING:
    import torch

CELLS = 1 << 25
"""Cells of a dense block: 128 MiB of float32."""


class InteractionMatrix:
    """The binary matrix X (users x played tracks): cold tracks have no column, so no model can score them.

    `columns` (H,) are the item indexes of the tracks played in training, ascending, and `listeners` (H,) the
    number of users of each. `user` and `item` (P,) are the rows and columns of the pairs, sorted by both;
    `order` (P,) are their positions among the given ones.
    """

    def __init__(self, train: Interactions, model: str):
        """Number the played tracks.

        Raises
        ------
        BenchError
            When training has no pairs; the message names `model`.

        """
        if not len(train):
            raise BenchError(f"{model} learns from interactions only, and training has no pairs. Change --split.")
        listeners = np.bincount(train.item, minlength=train.n_items)
        self.columns = np.flatnonzero(listeners)
        self.listeners = listeners[self.columns]
        self.n_users, self.n_items = train.n_users, train.n_items
        self.update(train)

    def update(self, known: Interactions) -> None:
        """Make X of the pairs of `known`, for the same users; pairs of tracks without a column are left out."""
        column_of = np.full(self.n_items, -1)
        column_of[self.columns] = np.arange(len(self.columns))
        items = column_of[known.item]
        there = items >= 0
        self.user, items = known.user[there].astype(np.int64), items[there]
        self.order = np.argsort(self.user * len(self.columns) + items)
        self.item = items[self.order]
        self.indptr = np.searchsorted(self.user, np.arange(self.n_users + 1))

    def __len__(self) -> int:
        """Return the number of played tracks H."""
        return len(self.columns)

    def histories(self, users: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the columns (n,) of the histories of `users` (B,), end to end, and where each starts (B,)."""
        counts = self.indptr[users + 1] - self.indptr[users]
        starts = np.cumsum(counts) - counts
        at = np.arange(int(counts.sum())) + np.repeat(self.indptr[users] - starts, counts)
        return self.item[at], starts

    def sum_rows(self, users: NDArray[np.int32], table: torch.Tensor) -> torch.Tensor:
        """Return X's rows of `users` (B,) times `table` (H, D): the sum (B, D) over each history."""
        import torch

        columns, starts = (torch.from_numpy(part).to(table.device) for part in self.histories(users))
        return torch.nn.functional.embedding_bag(columns, table, starts, mode="sum")

    def cells(self, users: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the row within `users` (B,) and the column of every pair of these users, (n,) each."""
        columns, starts = self.histories(users)
        counts = np.diff(np.append(starts, len(columns)))
        return np.repeat(np.arange(len(users)), counts), columns

    def sparse_rows(self, users: NDArray[np.int32], device: torch.device) -> torch.Tensor:
        """Return X's rows (B, H) of `users` as a sparse tensor."""
        return sparse_matrix(*self.cells(users), (len(users), len(self)), device=device)

    def cooccurrences(self, device: str) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield dense blocks (b, H) of X^T X: how many users played both tracks. Exact below 2**24 users."""
        import torch

        place = torch.device(device)
        matrix = sparse_matrix(self.user, self.item, (self.n_users, len(self)), device=place)
        order = np.argsort(self.item, kind="stable")
        users, items = self.user[order], self.item[order]
        step = max(1, CELLS // len(self))
        for start in range(0, len(self), step):
            block = slice(start, min(start + step, len(self)))
            part = slice(*np.searchsorted(items, [block.start, block.stop]))
            shape = (block.stop - block.start, self.n_users)
            left = sparse_matrix(items[part] - start, users[part], shape, device=place)
            yield block, sparse_product(left, matrix)

    def to_catalog(self, scores: torch.Tensor) -> torch.Tensor:
        """Put scores (B, H) in the columns of the whole catalogue (B, N); tracks not played in training get -inf.

        These models cannot recommend such tracks: their lists of cold tracks are empty, and have no figures.
        With a score of 0 the order among ties would draw tracks at random.
        """
        if len(self) == self.n_items:
            return scores
        out = scores.new_full((len(scores), self.n_items), -np.inf)
        import torch

        return out.index_copy_(1, torch.as_tensor(self.columns, device=scores.device), scores)


def sparse_matrix(
    row: Any, column: Any, shape: tuple[int, int], *, device: torch.device, values: Any = None
) -> torch.Tensor:
    """Return a sparse matrix of ones, or of `values`; cells are sorted by row, and each occurs once at most."""
    import torch

    cells = torch.from_numpy(np.stack([row, column])).to(device)
    filled = torch.ones(len(row), device=device) if values is None else values
    return torch.sparse_coo_tensor(cells, filled, shape, is_coalesced=True, check_invariants=False)


def sparse_product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Multiply two sparse matrices and return the product dense."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns once a process that its sparse rows are a beta
        product: torch.Tensor = torch.sparse.mm(left, right).to_dense()
    return product
