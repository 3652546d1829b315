"""What the collaborative baselines share: the binary matrix, its co-occurrences, and columns without a score."""

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


class Heard:
    """The binary matrix X (users x heard tracks): cold tracks have no column, so no model can score them.

    `columns` (H,) are the item indexes of the tracks that somebody heard, ascending. `user` and `item` (P,)
    are the pairs' rows and columns, sorted by both; `order` (P,) are their places in the training pairs.
    """

    def __init__(self, train: Interactions, who: str):
        """Number the heard tracks.

        Raises
        ------
        BenchError
            When training has no pairs; `who` names the model.

        """
        if not len(train):
            raise BenchError(f"{who} learns from listening alone, and the training part has no pairs. Change --split.")
        listeners = np.bincount(train.item, minlength=train.n_items)
        self.columns = np.flatnonzero(listeners)
        self.listeners = listeners[self.columns]
        place = np.cumsum(listeners > 0) - 1
        items = place[train.item]
        self.order = np.argsort(train.user * np.int64(len(self.columns)) + items)
        self.user, self.item = train.user.astype(np.int64), items[self.order]
        self.indptr = train.indptr
        self.n_users, self.n_items = train.n_users, train.n_items

    def __len__(self) -> int:
        """Return the number of heard tracks H."""
        return len(self.columns)

    def rows(self, users: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return columns (n,) of all histories of `users` (B,), end to end, and where each starts (B,)."""
        counts = self.indptr[users + 1] - self.indptr[users]
        starts = np.cumsum(counts) - counts
        at = np.arange(int(counts.sum())) + np.repeat(self.indptr[users] - starts, counts)
        return self.item[at], starts

    def histories(self, users: NDArray[np.int32], device: str) -> torch.Tensor:
        """Return X's rows (B, H) of `users` as a sparse tensor."""
        import torch

        items, starts = self.rows(users)
        counts = np.diff(np.append(starts, len(items)))
        return sparse(
            np.repeat(np.arange(len(users)), counts), items, (len(users), len(self)), device=torch.device(device)
        )

    def together(self, device: str) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield dense blocks (b, H) of X^T X: how many users heard both tracks. Exact: counts below 2**24."""
        import torch

        matrix = sparse(self.user, self.item, (self.n_users, len(self)), device=torch.device(device))
        order = np.argsort(self.item, kind="stable")
        users, items = self.user[order], self.item[order]
        step = max(1, CELLS // len(self))
        for start in range(0, len(self), step):
            block = slice(start, min(start + step, len(self)))
            part = slice(*np.searchsorted(items, [block.start, block.stop]))
            shape = (block.stop - block.start, self.n_users)
            left = sparse(items[part] - start, users[part], shape, device=torch.device(device))
            yield block, product(left, matrix)

    def spread(self, scores: torch.Tensor) -> torch.Tensor:
        """Put scores (B, H) in the columns of the whole catalogue (B, N); tracks nobody heard get -inf.

        They cannot be recommended by these models: their lists of cold tracks are empty and count as
        misses, where a score of 0 would let the tie order draw tracks at random.
        """
        if len(self) == self.n_items:
            return scores
        out = scores.new_full((len(scores), self.n_items), -np.inf)
        import torch

        return out.index_copy_(1, torch.as_tensor(self.columns, device=scores.device), scores)


def sparse(row: Any, column: Any, shape: tuple[int, int], *, device: torch.device, values: Any = None) -> torch.Tensor:
    """Return a sparse matrix of ones, or of `values`; cells sorted by row, each at most once."""
    import torch

    cells = torch.from_numpy(np.stack([row, column])).to(device)
    held = torch.ones(len(row), device=device) if values is None else values
    return torch.sparse_coo_tensor(cells, held, shape, is_coalesced=True, check_invariants=False)


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Multiply two sparse matrices and return the product dense."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its sparse rows a beta, once a process
        found: torch.Tensor = torch.sparse.mm(left, right).to_dense()
    return found
