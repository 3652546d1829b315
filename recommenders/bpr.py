"""BPR: matrix factorisation that ranks what was heard above what was not (Rendle et al. 2009)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.fit import History, Schedule, fit
from bench.protocols import Estimate, Interactions, Items, Recommender, RunContext, Shape, Validator

if TYPE_CHECKING:
    import torch

    from ._pairs import Known

Batch = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]
"""Users, tracks heard and tracks not heard, (P,) each."""


@dataclass(frozen=True)
class BPRSettings:
    """How large the factors are, and how they are trained.

    factors : width of users' and tracks' factors; each track has a bias besides
    l2 : weight of the squared length of the factors of a pair
    lr, batch : rate of Adam, and pairs a step (0: a 64th of the pairs, between 256 and 10,000)
    epochs, patience : at most so many; stop after so many validations without a better value (none: never)
    every : validate after every so many epochs
    """

    factors: int = 64
    l2: float = 0.01
    lr: float = 0.005
    batch: int = 0
    epochs: int = 100
    patience: int | None = 10
    every: int = 1

    def __post_init__(self) -> None:
        """Reject empty factors and trainings."""
        if min(self.factors, self.lr, self.epochs, self.every, self.patience or 1) <= 0:
            raise ValueError("factors, lr, epochs, every and patience must be positive")
        if min(self.l2, self.batch) < 0:
            raise ValueError("l2 and batch must not be negative")


class BPR(Recommender):
    """``u . i + b_i``, trained on ``-log sigmoid`` of the difference between a heard track and another.

    The other track is drawn uniformly among heard tracks that the user does not know. No vectors; tracks
    that nobody heard score -inf.
    """

    Settings = BPRSettings
    SPACE = "factors=16|32|64|128,lr=1e-3..3e-2(log),l2=1e-4..1e-1(log)"
    name = "bpr"
    needs = frozenset()
    deterministic = False
    validates = True
    settings: BPRSettings
    history: History

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Train the factors.

        Raises
        ------
        BenchError
            When there are no pairs.

        """
        import torch
        from torch.nn import functional

        from ._counts import Heard
        from ._pairs import Known, draw

        own = self.settings
        self._heard = Heard(train, "bpr")
        torch.manual_seed(run.seed)
        net = {
            "user": 0.1 * torch.randn(train.n_users, own.factors),
            "item": 0.1 * torch.randn(len(self._heard), own.factors),
            "bias": torch.zeros(len(self._heard), 1),
        }
        self._net = torch.nn.ParameterDict(net).to(run.device)
        user = torch.from_numpy(self._heard.user).to(run.device)
        item = torch.from_numpy(self._heard.item).to(run.device)
        pool = torch.arange(len(self._heard), device=run.device)
        known = Known(user, item, len(self._heard))
        size = own.batch or min(10_000, max(256, len(user) // 64))

        def batches(_epoch: int) -> Iterator[Batch]:
            for rows in torch.split(torch.randperm(len(user), device=run.device), size):
                u, i = user[rows], item[rows]
                yield u, i, draw(i, pool, 1, partial(_heard, known, u)).squeeze(1)

        def loss(batch: Batch) -> torch.Tensor:
            u, i, j = (
                functional.embedding(r, self._net[n]) for r, n in zip(batch, ("user", "item", "item"), strict=True)
            )
            bias = (functional.embedding(rows, self._net["bias"]).squeeze(1) for rows in batch[1:])
            ahead = (u * (i - j)).sum(dim=1) + next(bias) - next(bias)
            lengths = (u.square() + i.square() + j.square()).sum(dim=1)
            return (own.l2 * lengths - functional.logsigmoid(ahead)).mean()

        self.history = fit(
            self._net,
            torch.optim.Adam(self._net.parameters(), lr=own.lr, fused=True),
            batches=batches,
            loss=loss,
            valid=lambda: valid(self),
            run=run,
            schedule=Schedule(epochs=own.epochs, patience=own.patience, every=own.every, amp=False),
        )

    def plan(self, shape: Shape) -> Estimate:
        """Reckon the factors with gradients and Adam's moments, and pairs with their sorted keys."""
        rows = shape.users + shape.hot
        return Estimate(16 * rows * (self.settings.factors + 1) + 6 * 8 * shape.pairs)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Products of factors plus biases (B, n_items)."""
        import torch

        with torch.no_grad():
            rows = torch.as_tensor(users, dtype=torch.long, device=self._net["user"].device)
            return self._heard.spread(self._net["user"][rows] @ self._net["item"].T + self._net["bias"].T)


def _heard(known: Known, user: torch.Tensor, pair: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
    """Which of `item` (n,), drawn for the pairs `pair` (n,) of `user` (P,), are known."""
    return known(user[pair], item)
