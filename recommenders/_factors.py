"""What BPR and ELSA share: the settings of factors trained by gradient descent, and their training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.protocols import Recommender, RunContext
from bench.training.loop import History, Schedule, fit

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FactorSettings:
    """The size of the factors, and how they are trained; a model adds its own settings and defaults."""

    factors: int
    lr: float
    batch: int = 0
    epochs: int = 100
    patience: int | None = 10
    every: int = 1

    def __post_init__(self) -> None:
        """Reject sizes and schedules that are not positive."""
        for name in ("factors", "lr", "epochs", "every"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.patience is not None and self.patience <= 0:
            raise ValueError(f"patience must be positive or none, got {self.patience}")
        if self.batch < 0:
            raise ValueError(f"batch must not be negative, got {self.batch}")


class FactorModel(Recommender):
    """A recommender without item vectors whose factors are trained with Adam."""

    needs = frozenset()
    deterministic = False
    validates = True
    settings: FactorSettings
    history: History
    _net: torch.nn.ParameterDict

    def _train(
        self,
        batches: Callable[[int], Iterable[Any]],
        loss: Callable[[Any], torch.Tensor],
        valid: Callable[[], float],
        run: RunContext,
    ) -> None:
        """Train the parameters in `_net`; arguments as in `bench.training.loop.fit`."""
        import torch

        settings = self.settings
        self.history = fit(
            self._net,
            torch.optim.Adam(self._net.parameters(), lr=settings.lr, fused=True),
            batches=batches,
            loss=loss,
            valid=valid,
            run=run,
            schedule=Schedule(settings.epochs, settings.patience, every=settings.every, amp=False),
        )
