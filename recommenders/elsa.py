"""ELSA: a linear autoencoder of low rank (Vančura et al. 2022, "Scalable Linear Shallow Autoencoder")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.devices import send
from bench.errors import BenchError
from bench.protocols import Estimate, Interactions, Items, RunContext, Shape, Validator

from ._factors import FactorModel, FactorSettings

if TYPE_CHECKING:
    import torch

HistoryBatch = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]
"""Columns of all histories (n,), where each starts (B,), and their lengths (B,)."""


@dataclass(frozen=True)
class ELSASettings(FactorSettings):
    """Settings of ELSA.

    factors : rank of the item-item matrix
    lr, batch : rate of Adam, and users a step (0: a 32nd of the users, between 32 and 1,024)
    epochs, patience : at most so many; stop after so many validations without a better value (none: never)
    every : epochs between validations
    """

    factors: int = 256
    lr: float = 0.01

    def chosen_batch(self, users: int) -> int:
        """Return the users a step for this number of training users."""
        return self.batch or min(1024, max(32, users // 32))


class ELSA(FactorModel):
    """Scores ``x A A^T - x`` with rows of A at length 1, trained on ``|x/|x| - y/|y||^2``, y the scores.

    The loss is H times the mean that the paper writes (H played tracks), so that Adam's epsilon stays small
    beside the gradients. Training never writes out x or y: with h = x A, the products
    ``x.y = |h|^2 - n`` and ``|y|^2 = h (A^T A) h - 2 |h|^2 + n`` are enough, n tracks in x. A user of one
    track has x.y = 0 for every A, and is not trained on. ELSA uses no item vectors; tracks not played in
    training score -inf.
    """

    Settings = ELSASettings
    SPACE = "factors=64|128|256|512,lr=1e-3..3e-2(log)"
    name = "elsa"
    settings: ELSASettings

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Train A (H, factors).

        Raises
        ------
        BenchError
            When no user has two tracks.

        """
        import torch

        from ._cooccurrence import InteractionMatrix

        settings = self.settings
        self._matrix = InteractionMatrix(train, self.name)
        users = np.flatnonzero(self._matrix.lengths > 1)
        if not len(users):
            raise BenchError("elsa learns from tracks of one user, and no user has two in training. Change --split.")
        torch.manual_seed(run.seed)
        start = torch.nn.init.xavier_uniform_(torch.empty(len(self._matrix), settings.factors))
        self._net = torch.nn.ParameterDict({"factor": start}).to(run.device)
        size = settings.chosen_batch(len(users))

        def batches(_epoch: int) -> Iterator[HistoryBatch]:
            order = users[torch.randperm(len(users)).numpy()]
            counts = np.add.reduceat(self._matrix.lengths[order], np.arange(0, len(order), size))
            (rows,) = send(run.device, order)
            for part, count in zip(torch.split(rows, size), counts.tolist(), strict=True):
                columns, starts, lengths = self._matrix.histories(part, count)
                yield columns, starts, lengths.float()

        def validate() -> float:
            self._items = self._factors().detach()
            return valid(self)

        self._train(batches, lambda batch: loss(self._factors(), *batch), validate, run)
        self._items = self._factors().detach()

    def plan(self, shape: Shape) -> Estimate:
        """Estimate six copies of A (gradient, Adam's moments, rows at length 1) and two arrays (users a step, H)."""
        users = int((shape.lengths > 1).sum())
        dense = min(self.settings.chosen_batch(users), self.settings.factors) * shape.hot
        left = shape.users - users
        notes = [f"{left} of {shape.users} listeners have fewer than 2 tracks: not trained on"] if left else []
        return Estimate(4 * (6 * shape.hot * self.settings.factors + 2 * dense), notes)

    def update_history(self, known: Interactions) -> None:
        """Sum over the tracks of `known` that training has."""
        self._matrix.update(known)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Return x A A^T - x (B, n_items)."""
        scores = self._matrix.sum_rows(users, self._items) @ self._items.T
        scores[self._matrix.cells(users, scores.device)] -= 1
        return self._matrix.to_catalog(scores)

    def _factors(self) -> torch.Tensor:
        import torch

        return torch.nn.functional.normalize(self._net["factor"], dim=1)


def loss(factors: torch.Tensor, columns: torch.Tensor, starts: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the mean over users of ``|x/|x| - y/|y||^2 = 2 - 2 cos(x, y)``, y = x A A^T - x, A `factors` (H, F)."""
    import torch

    hidden = torch.nn.functional.embedding_bag(columns, factors, starts, mode="sum")
    squared = hidden.square().sum(dim=1)
    if len(hidden) < factors.shape[1]:  # whichever has fewer operations
        out = (hidden @ factors.T).square().sum(dim=1)
    else:
        out = (hidden @ (factors.T @ factors) * hidden).sum(dim=1)
    length = (out - 2 * squared + lengths).clamp_min(1e-12).sqrt()
    cosine: torch.Tensor = (squared - lengths) / (length * lengths.sqrt())
    return 2 - 2 * cosine.mean()
