"""A trained recommender as somebody outside the project would write it, through bench's training loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.protocols import Interactions, Items, Recommender, RunContext, Validator
from bench.training.loop import Schedule, fit

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FactorsSettings:
    width: int = 16
    epochs: int = 12
    patience: int = 3
    batch: int = 512
    rate: float = 0.02


class Factors(Recommender):
    """BPR (Rendle et al. 2009) on a linear map of the frozen item vectors; users are learned.

    Uniform negatives; early stopping on the harness's validation NDCG; a checkpoint an epoch.
    """

    Settings = FactorsSettings
    name = "factors"
    deterministic = False
    settings: FactorsSettings

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        import torch

        torch.manual_seed(run.seed)
        self._items = torch.tensor(items.vectors, device=run.device)  # a copy: the table itself stays frozen
        self._hot = torch.tensor(np.flatnonzero(items.hot), device=run.device)
        self._net = torch.nn.ModuleDict(
            {
                "user": torch.nn.Embedding(train.n_users, self.settings.width),
                "item": torch.nn.Linear(self._items.shape[1], self.settings.width, bias=False),
            }
        ).to(run.device)
        user = torch.tensor(train.user, dtype=torch.long, device=run.device)
        item = torch.tensor(train.item, dtype=torch.long, device=run.device)

        def batches(_epoch: int) -> Iterator[tuple[torch.Tensor, ...]]:
            order = torch.randperm(len(user))
            for start in range(0, len(user), self.settings.batch):
                rows = order[start : start + self.settings.batch]
                negative = self._hot[torch.randint(len(self._hot), (len(rows),))]
                yield user[rows], item[rows], negative

        def loss(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
            users = self._net["user"](batch[0])
            positive, negative = (self._net["item"](self._items[rows]) for rows in batch[1:])
            return -torch.nn.functional.logsigmoid((users * (positive - negative)).sum(-1)).mean()

        self.history = fit(
            self._net,
            torch.optim.Adam(self._net.parameters(), lr=self.settings.rate),
            batches=batches,
            loss=loss,
            valid=lambda: valid(self),
            run=run,
            schedule=Schedule(epochs=self.settings.epochs, patience=self.settings.patience),
        )

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        import torch

        vectors = self._items if items is None else torch.tensor(items.vectors, device=self._items.device)
        with torch.no_grad():
            rows = self._net["user"](torch.tensor(users, dtype=torch.long, device=vectors.device))
            scores: torch.Tensor = rows @ self._net["item"](vectors).T
        return scores

    def state(self) -> dict[str, Any]:
        return {name: tensor.clone() for name, tensor in self._net.state_dict().items()}
