"""A learning rate that falls when validation stands still, in step with the checkpoints of `bench.training.loop`."""

from __future__ import annotations

import math
from typing import Any

import torch


class Plateau(torch.nn.Module):
    """Multiply the learning rate by `factor` after more than `patience` validations without a better value.

    The rule of torch's ``ReduceLROnPlateau`` (relative threshold 1e-4), maximising. Its memory is two
    buffers: attached to the model it is checkpointed with it, so a resumed training goes on the same way.
    The buffers stay on the CPU, where the rule is computed, when the model goes to another device or type.
    """

    best: torch.Tensor
    waited: torch.Tensor

    def __init__(self, factor: float, patience: int):
        super().__init__()
        self.factor, self.patience = factor, patience
        self.register_buffer("best", torch.tensor(-math.inf, dtype=torch.float64))
        self.register_buffer("waited", torch.tensor(0))

    def _apply(self, fn: Any, recurse: bool = True) -> Plateau:
        """Keep the buffers as they are."""
        return self

    def step(self, value: float, optimizer: torch.optim.Optimizer) -> None:
        """Note a validation value and lower the rates where due."""
        best = float(self.best)
        if value > best + 1e-4 * abs(best) or math.isinf(best):
            self.best.fill_(value)
            self.waited.zero_()
            return
        self.waited += 1
        if int(self.waited) > self.patience:
            for group in optimizer.param_groups:
                group["lr"] *= self.factor
            self.waited.zero_()
