"""The binary matrix of users and tracks, its co-occurrence counts, and what all models without vectors share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.devices import send
from bench.errors import BenchError
from bench.protocols import Interactions, RunContext

if TYPE_CHECKING:
    import torch

CELLS = 1 << 19
"""Most cells and additions of a dense block, unless one row has more: 2 MiB of float32 stay in the cache."""
SPARSE = 4
"""A block with this many times as many cells as additions leaves out the columns without any."""


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
        self._model = model
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
        self.lengths = np.diff(self.indptr)
        self._resident: dict[torch.device, list[torch.Tensor]] = {}

    def __len__(self) -> int:
        """Return the number of played tracks H."""
        return len(self.columns)

    def on(self, device: torch.device) -> list[torch.Tensor]:
        """Return `indptr`, `item` and `columns` as tensors on a device, where they stay until the next `update`."""
        if device not in self._resident:
            self._resident[device] = send(device, self.indptr, self.item, self.columns)
        return self._resident[device]

    def histories(self, users: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the columns (n,) of the histories of `users` (B,), where each starts (B,), and their lengths (B,).

        They are on the device of `users`; `count` is n, for which the host of a GPU would wait.
        """
        indptr, item, _ = self.on(users.device)
        _, at = gather(indptr, users, count)
        lengths = indptr[users + 1] - indptr[users]
        return item[at], lengths.cumsum(0) - lengths, lengths

    def sum_rows(self, users: NDArray[np.int32], table: torch.Tensor) -> torch.Tensor:
        """Return X's rows of `users` (B,) times `table` (H, D): the sum (B, D) over each history."""
        import torch

        columns, starts, _ = self.histories(*self._sent(users, table.device))
        return torch.nn.functional.embedding_bag(columns, table, starts, mode="sum")

    def cells(self, users: NDArray[np.int32], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the row within `users` (B,) and the column of every pair of these users, (n,) each."""
        indptr, item, _ = self.on(device)
        row, at = gather(indptr, *self._sent(users, device))
        return row, item[at]

    def sparse(self) -> Any:
        """Return X (n_users, H) as a sparse matrix of scipy."""
        from scipy.sparse import csr_array

        return csr_array((np.ones(len(self.item), np.float32), self.item, self.indptr), shape=(self.n_users, len(self)))

    def _sent(self, users: NDArray[np.int32], device: torch.device) -> tuple[torch.Tensor, int]:
        """Return `users` on a device, and how many pairs they have."""
        return send(device, users.astype(np.int64))[0], int(self.lengths[users].sum())

    def cooccurrences(self, run: RunContext) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.float32]]]:
        """Yield the rows of X^T X by blocks: how many users played both tracks. Exact below 2**24 users.

        A block is a slice of b rows, the columns (c,) that may have other values than zero, ascending, and the counts
        (b, c). A row is the sum of the rows of X of one track's listeners, which are copied first: 8 bytes for each
        number to add. The blocks share one array: the next block replaces the values of this one.

        Raises
        ------
        BenchError
            At the deadline of `run`: a part of the counts is no model.

        """
        from scipy.sparse import csr_array

        size = len(self)
        matrix = self.sparse()
        users = self.user[np.argsort(self.item, kind="stable")]
        first = np.append(0, np.cumsum(np.bincount(self.item, minlength=size)))
        additions = np.append(0, np.cumsum(np.bincount(self.item, np.diff(self.indptr)[self.user], size)))
        buffer = np.empty(max(CELLS, size), np.float32)
        everything = np.arange(size)
        start = 0
        while start < size:
            if start and run.deadline is not None and time.monotonic() > run.deadline:
                raise BenchError(
                    f"{self._model}: --max-time is over after {start} of {size} tracks, and a part of them is no "
                    "model. Grant more time, or take elsa, which keeps its best state."
                )
            work = additions[start + 1 : start + 1 + CELLS] - additions[start]
            cells = np.arange(1, len(work) + 1) * np.minimum(work, size)
            count = max(1, int(np.searchsorted(cells + work, CELLS, side="right")))
            stop = start + count
            rows = matrix[users[first[start] : first[stop]]]
            ends = rows.indptr[first[start : stop + 1] - first[start]]
            columns, places = everything, rows.indices
            if SPARSE * len(places) < count * size:
                occurs = np.zeros(size, bool)
                occurs[places] = True
                columns, places = np.flatnonzero(occurs), (np.cumsum(occurs, dtype=np.int32) - 1)[places]
            shape = (count, len(columns))
            # scipy adds up values of the same cell: here the rows of all listeners of a track.
            sums = csr_array((rows.data, places, ends), shape=shape)
            yield slice(start, stop), columns, sums.toarray(out=buffer[: count * len(columns)].reshape(shape))
            start = stop

    def to_catalog(self, scores: torch.Tensor) -> torch.Tensor:
        """Put scores (B, H) in the columns of the whole catalogue (B, N); tracks not played in training get -inf.

        These models cannot recommend such tracks: their lists of cold tracks are empty, and have no figures.
        With a score of 0 the order among ties would draw tracks at random.
        """
        if len(self) == self.n_items:
            return scores
        out = scores.new_full((len(scores), self.n_items), -np.inf)
        return out.index_copy_(1, self.on(scores.device)[2], scores)


def gather(indptr: torch.Tensor, rows: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the cells of `rows` (B,) of a sparse matrix whose rows start at `indptr`; `count` is their number n.

    Returns the position in `rows` of the row of each cell, and where the cell is stored, (n,) each.
    """
    import torch

    lengths = indptr[rows + 1] - indptr[rows]
    first = lengths.cumsum(0) - lengths
    owner = torch.arange(len(rows), device=rows.device).repeat_interleave(lengths, output_size=count)
    return owner, torch.arange(count, device=rows.device) + (indptr[rows] - first)[owner]
