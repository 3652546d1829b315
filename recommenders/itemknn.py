"""ItemKNN: the tracks most often played by the same listeners (Sarwar et al. 2001; Dacrema et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.devices import has_float64, send
from bench.protocols import Interactions, Items, Recommender, RunContext, Validator

if TYPE_CHECKING:
    import torch

GROUPS = 8
"""Groups of columns for each neighbour that is kept: see `largest`."""
ADDITIONS = 1 << 25
"""Similarities that a GPU adds up at once, unless one user has more: about 1 GiB."""


@dataclass(frozen=True)
class ItemKNNSettings:
    """Settings of ItemKNN.

    neighbours : how many similar tracks are kept for each track; tracks tied with the last are kept as well,
        so that the order of the items has no effect
    shrink : added to the denominator of the cosine, so that tracks with few listeners are less similar
    """

    neighbours: int = 100
    shrink: float = 10.0

    def __post_init__(self) -> None:
        """Reject no neighbours and negative shrinkage."""
        if self.neighbours < 1 or self.shrink < 0:
            raise ValueError(
                f"neighbours must be positive and shrink not negative, got {self.neighbours} and {self.shrink}"
            )


class ItemKNN(Recommender):
    """Score of track j: sum over the user's tracks i among the neighbours of j of their similarity.

    ``c_ij / (sqrt(c_i c_j) + shrink)``, with c_i the listeners of i and c_ij those of both, computed a dense
    block at a time. ItemKNN uses no item vectors; tracks not played in training score -inf.
    """

    Settings = ItemKNNSettings
    SPACE = "neighbours=10..500(log),shrink=0..100"
    name = "itemknn"
    needs = frozenset()
    settings: ItemKNNSettings

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Find the neighbours of each track.

        Raises
        ------
        BenchError
            When there are no pairs, or at the deadline.

        """
        import torch
        from scipy.sparse import csr_array

        from ._cooccurrence import InteractionMatrix

        self._matrix = InteractionMatrix(train, self.name)
        size = len(self._matrix)
        self._device = torch.device(run.device)
        root = np.sqrt(self._matrix.listeners.astype(np.float64)).astype(np.float32)
        parts = []
        for block, columns, similarity in self._matrix.cooccurrences(run):
            similarity /= np.outer(root[block], root[columns]) + np.float32(self.settings.shrink)
            rows = np.arange(len(similarity))
            similarity[rows, np.searchsorted(columns, block.start + rows)] = 0.0
            found, column, value = largest(similarity, min(self.settings.neighbours, len(columns)))
            parts.append((found, columns[column], value))
        counts, sources, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        by_target = csr_array((values, sources, np.append(0, np.cumsum(counts))), shape=(size, size))
        self._similarity = by_target.T.tocsr()  # a row for each track of a history
        self._follow()
        if self._device.type != "cpu":
            where = (part.astype(np.int64) for part in (self._similarity.indptr, self._similarity.indices))
            self._resident = send(self._device, *where, self._similarity.data)
            self._device = self._resident[0].device  # with its number, as tensors name it

    def update_history(self, known: Interactions) -> None:
        """Sum over the tracks of `known` that training has."""
        self._matrix.update(known)
        self._follow()

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Return sums of similarities (B, n_items)."""
        import torch

        if self._device.type != "cpu":
            return self._matrix.to_catalog(self._added(users))
        sums = self._histories[users] @ self._similarity
        return self._matrix.to_catalog(torch.from_numpy(sums.toarray()))

    def _follow(self) -> None:
        """Keep the histories, and how many similarities (n_users,) the scores of each user add up."""
        self._histories = self._matrix.sparse()
        before = np.append(0, np.cumsum(np.diff(self._similarity.indptr)[self._matrix.item]))
        self._additions = before[self._matrix.indptr[1:]] - before[self._matrix.indptr[:-1]]

    def _added(self, users: NDArray[np.int32]) -> torch.Tensor:
        """Return sums of similarities (B, H), by adding one after another on a GPU, in no fixed order.

        The host would wait for the sizes of a sparse product. Where the device has float64, sums in that type are
        rounded to the same float32 in almost any order.
        """
        import torch

        from ._cooccurrence import gather

        indptr, column, value = self._resident
        wide = torch.float64 if has_float64(str(self._device)) else torch.float32
        out = torch.zeros(len(users), len(self._matrix), dtype=wide, device=self._device)
        ends = np.append(0, np.cumsum(self._additions[users]))
        start = 0
        while start < len(users):
            stop = max(start + 1, int(np.searchsorted(ends, ends[start] + ADDITIONS, side="right")) - 1)
            row, source = self._matrix.cells(users[start:stop], self._device)
            cell, at = gather(indptr, source, int(ends[stop] - ends[start]))
            place = (row[cell] + start) * len(self._matrix) + column[at]
            out.view(-1).index_add_(0, place, value[at].to(wide))
            start = stop
        return out.float()


def largest(table: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the `count` largest positive values of each row (b, H), and all that are tied with the last of them.

    Returns how many each row has (b,), and their columns and values, row by row. The columns of a row are put into
    groups; the `count`-th largest of the groups' maxima is no larger than that of the row, so that few values are
    left to compare.
    """
    rows, size = table.shape
    groups = min(size, GROUPS * count)
    maxima = table[:, :groups].copy()
    for start in range(groups, size, groups):
        part = table[:, start : start + groups]
        np.maximum(maxima[:, : part.shape[1]], part, out=maxima[:, : part.shape[1]])
    least = np.maximum(_at_least(maxima, count), np.finfo(np.float32).smallest_subnormal)
    found = np.flatnonzero(table >= least[:, None])
    row, column = np.divmod(found, size)
    value = table.ravel()[found]
    counts = np.bincount(row, minlength=rows)
    few = np.zeros((rows, max(count, int(counts.max()))), np.float32)
    few[row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)] = value
    kept = value >= _at_least(few, count)[row]
    return np.bincount(row[kept], minlength=rows), column[kept], value[kept]


def _at_least(table: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the `count`-th largest value (b,) of each row, and reorder the rows."""
    place = table.shape[1] - count
    table.partition(place, axis=1)
    return table[:, place]
