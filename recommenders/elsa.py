"""ELSA: a linear autoencoder of low rank (Vančura et al. 2022, "Scalable Linear Shallow Autoencoder")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.fit import History, Schedule, fit
from bench.protocols import Estimate, Interactions, Items, Recommender, RunContext, Shape, Validator

if TYPE_CHECKING:
    import torch

Batch = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]
"""Columns of all histories (n,), where each starts (B,), and their lengths (B,)."""


@dataclass(frozen=True)
class ELSASettings:
    """How large the factors are, and how they are trained.

    factors : rank of the item-item matrix
    lr, batch : rate of Adam, and users a step (0: a 32nd of the users, between 32 and 1,024)
    epochs, patience : at most so many; stop after so many validations without a better value (none: never)
    every : validate after every so many epochs
    """

    factors: int = 256
    lr: float = 0.01
    batch: int = 0
    epochs: int = 100
    patience: int | None = 10
    every: int = 1

    def __post_init__(self) -> None:
        """Reject empty factors and trainings."""
        if min(self.factors, self.lr, self.epochs, self.every, self.patience or 1) <= 0 or self.batch < 0:
            raise ValueError("factors, lr, epochs, every and patience must be positive, batch not negative")

    def chosen_batch(self, users: int) -> int:
        """Return the users a step when so many teach anything."""
        return self.batch or min(1024, max(32, users // 32))


class ELSA(Recommender):
    """Scores ``x A A^T - x`` with rows of A at length 1, trained on ``|x/|x| - y/|y||^2``, y the scores.

    The loss is H times the mean the paper writes (H heard tracks), so that Adam's epsilon stays small
    beside the gradients. Neither x nor y is ever written out in training: with h = x A, the products
    ``x.y = |h|^2 - n`` and ``|y|^2 = h (A^T A) h - 2 |h|^2 + n`` are all that is needed, n tracks in x.
    A user of one track has x.y = 0 whatever A is, and is left out. Tracks that nobody heard score -inf.
    """

    Settings = ELSASettings
    SPACE = "factors=64|128|256|512,lr=1e-3..3e-2(log)"
    name = "elsa"
    needs = frozenset()
    deterministic = False
    validates = True
    settings: ELSASettings
    history: History

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Train A (H, factors).

        Raises
        ------
        BenchError
            When no user has two tracks.

        """
        import torch

        from ._counts import Heard

        own = self.settings
        self._heard = Heard(train, "elsa")
        teaching = np.flatnonzero(np.diff(self._heard.indptr) > 1).astype(np.int32)
        if not len(teaching):
            raise BenchError("elsa learns from tracks heard together, and no user has two in training. Change --split.")
        torch.manual_seed(run.seed)
        start = torch.nn.init.xavier_uniform_(torch.empty(len(self._heard), own.factors))
        self._net = torch.nn.ParameterDict({"factor": start}).to(run.device)
        size = own.chosen_batch(len(teaching))

        def batches(_epoch: int) -> Iterator[Batch]:
            for rows in torch.split(torch.randperm(len(teaching)), size):
                columns, starts = self._heard.rows(teaching[rows.numpy()])
                lengths = np.diff(np.append(starts, len(columns))).astype(np.float32)
                yield tuple(torch.from_numpy(part).to(run.device) for part in (columns, starts, lengths))  # type: ignore[misc]

        self.history = fit(
            self._net,
            torch.optim.Adam(self._net.parameters(), lr=own.lr, fused=True),
            batches=batches,
            loss=lambda batch: loss(self._factors(), *batch),
            valid=lambda: self._refreshed(valid),
            run=run,
            schedule=Schedule(epochs=own.epochs, patience=own.patience, every=own.every, amp=False),
        )
        self._refresh()

    def plan(self, shape: Shape) -> Estimate:
        """Reckon six copies of A (with gradient, Adam's moments, rows at length 1) and two arrays (users a step, H)."""
        teaching = int((shape.lengths > 1).sum())
        dense = min(self.settings.chosen_batch(teaching), self.settings.factors) * shape.hot
        left = shape.users - teaching
        notes = [f"{left} of {shape.users} listeners have fewer than 2 tracks: not trained on"] if left else []
        return Estimate(4 * (6 * shape.hot * self.settings.factors + 2 * dense), notes)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Scores (B, n_items)."""
        import torch

        columns, starts = (torch.from_numpy(part).to(self._items.device) for part in self._heard.rows(users))
        scores = torch.nn.functional.embedding_bag(columns, self._items, starts, mode="sum") @ self._items.T
        counts = torch.diff(starts, append=starts.new_tensor([len(columns)]))
        scores[torch.arange(len(users), device=scores.device).repeat_interleave(counts), columns] -= 1
        return self._heard.spread(scores)

    def _factors(self) -> torch.Tensor:
        import torch

        return torch.nn.functional.normalize(self._net["factor"], dim=1)

    def _refreshed(self, valid: Validator) -> float:
        self._refresh()
        return valid(self)

    def _refresh(self) -> None:
        self._items = self._factors().detach()


def loss(factors: torch.Tensor, columns: torch.Tensor, starts: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Mean over users of ``|x/|x| - y/|y||^2 = 2 - 2 cos(x, y)``, y = x A A^T - x, from `factors` A (H, F)."""
    import torch

    hidden = torch.nn.functional.embedding_bag(columns, factors, starts, mode="sum")
    own = hidden.square().sum(dim=1)
    if len(hidden) < factors.shape[1]:  # whichever has fewer operations
        out = (hidden @ factors.T).square().sum(dim=1)
    else:
        out = (hidden @ (factors.T @ factors) * hidden).sum(dim=1)
    length = (out - 2 * own + lengths).clamp_min(1e-12).sqrt()
    cosine: torch.Tensor = (own - lengths) / (length * lengths.sqrt())
    return 2 - 2 * cosine.mean()
