"""ItemKNN: the tracks most often played by the same listeners (Sarwar et al. 2001; Dacrema et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Interactions, Items, Recommender, RunContext, Validator

if TYPE_CHECKING:
    import torch


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
            When there are no pairs.

        """
        import torch

        from ._cooccurrence import InteractionMatrix, sparse_matrix

        self._matrix = InteractionMatrix(train, self.name)
        size = len(self._matrix)
        self._device = torch.device(run.device)
        root = torch.tensor(self._matrix.listeners, dtype=torch.float64, device=run.device).sqrt().float()
        count = min(self.settings.neighbours, size)
        targets, sources, values = [], [], []
        for block, similarity in self._matrix.cooccurrences(run.device):
            rows = torch.arange(block.start, block.stop, device=run.device)
            similarity /= root[block, None] * root + self.settings.shrink
            similarity[rows - block.start, rows] = 0.0
            least = similarity.topk(count, dim=1, sorted=False).values.min(dim=1, keepdim=True).values
            target, source = torch.nonzero((similarity >= least) & (similarity > 0), as_tuple=True)
            values.append(similarity[target, source])
            targets.append(target + block.start)
            sources.append(source)
        target, source, value = torch.cat(targets), torch.cat(sources), torch.cat(values)
        order = source.argsort(stable=True)  # by source, then target: a row for each track of a history
        row, column = source[order].cpu().numpy(), target[order].cpu().numpy()
        self._similarity = sparse_matrix(row, column, (size, size), device=self._device, values=value[order])

    def update_history(self, known: Interactions) -> None:
        """Sum over the tracks of `known` that training has."""
        self._matrix.update(known)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Return sums of similarities (B, n_items)."""
        from ._cooccurrence import sparse_product

        histories = self._matrix.sparse_rows(users, self._device)
        return self._matrix.to_catalog(sparse_product(histories, self._similarity))
