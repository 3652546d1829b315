"""BPR: matrix factorisation that ranks played tracks above others (Rendle et al. 2009)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.devices import send
from bench.protocols import Estimate, Interactions, Items, RunContext, Shape, Validator

from ._factors import FactorModel, FactorSettings

if TYPE_CHECKING:
    import torch

Triples = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]
"""Users, tracks they played and tracks they did not play, (P,) each."""


@dataclass(frozen=True)
class BPRSettings(FactorSettings):
    """Settings of BPR.

    factors : width of the factors of users and tracks; each track also has a bias
    l2 : weight of the squared length of the factors of a pair
    lr, batch : rate of Adam, and pairs a step (0: a 64th of the pairs, between 256 and 10,000)
    epochs, patience : at most so many; stop after so many validations without a better value (none: never)
    every : epochs between validations
    """

    factors: int = 64
    lr: float = 0.005
    l2: float = 0.01

    def __post_init__(self) -> None:
        """Reject what a training cannot use."""
        super().__post_init__()
        if self.l2 < 0:
            raise ValueError(f"l2 must not be negative, got {self.l2}")


class BPR(FactorModel):
    """``u . i + b_i``, trained on ``-log sigmoid`` of the difference between a played track and another.

    The other track is drawn uniformly among played tracks that the user does not know. BPR uses no item
    vectors; tracks not played in training score -inf.
    """

    Settings = BPRSettings
    SPACE = "factors=16|32|64|128,lr=1e-3..3e-2(log),l2=1e-4..1e-1(log)"
    name = "bpr"
    version = "2"
    settings: BPRSettings

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Train the factors.

        Raises
        ------
        BenchError
            When there are no pairs.

        """
        import torch

        from ._cooccurrence import InteractionMatrix
        from ._negatives import KnownPairs, sample_negatives
        from ._pair_loss import pair_loss

        settings = self.settings
        self._matrix = matrix = InteractionMatrix(train, self.name)
        torch.manual_seed(run.seed)
        net = {
            "user": 0.1 * torch.randn(train.n_users, settings.factors),
            "item": 0.1 * torch.randn(len(matrix), settings.factors),
            "bias": torch.zeros(len(matrix), 1),
        }
        self._net = torch.nn.ParameterDict(net).to(run.device)
        user, item = send(run.device, matrix.user, matrix.item)
        pool = torch.arange(len(matrix), device=run.device)
        known = KnownPairs(user, item, len(matrix))
        size = settings.batch or min(10_000, max(256, len(user) // 64))

        def batches(_epoch: int) -> Iterator[Triples]:
            for some in torch.split(torch.randperm(len(user), device=run.device), size):
                # By user, so that rows of tables are read in order; on a CPU, numpy sorts ten times as fast as torch.
                rows = torch.from_numpy(np.sort(some.numpy())) if some.device.type == "cpu" else some.sort().values
                u, i = user[rows], item[rows]
                yield u, i, sample_negatives(i, pool, 1, known.of_users(u)).squeeze(1)

        def loss(batch: Triples) -> torch.Tensor:
            net = self._net
            return pair_loss(net["user"], net["item"], net["bias"], *batch, settings.l2)

        self._train(batches, loss, lambda: valid(self), run)

    def plan(self, shape: Shape) -> Estimate:
        """Estimate the factors with gradients and Adam's moments, and the pairs with their sorted keys."""
        rows = shape.users + shape.hot
        return Estimate(16 * rows * (self.settings.factors + 1) + 64 * shape.pairs)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Return products of factors plus biases (B, n_items)."""
        import torch

        with torch.no_grad():
            (rows,) = send(self._net["user"].device, users.astype(np.int64))
            return self._matrix.to_catalog(self._net["user"][rows] @ self._net["item"].T + self._net["bias"].T)
