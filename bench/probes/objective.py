"""The loss and the primary metric of each kind of label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.classification import roc_auc, value_scores
from bench.metrics.key_score import key_points
from bench.probes.clip_pooling import RULES, join
from bench.probes.data import Part, ProbeData

if TYPE_CHECKING:
    import torch


class Objective:
    """The labels of one task as tensors, with their loss and their primary metric."""

    def __init__(self, data: ProbeData, device: str = "cpu") -> None:
        """Move the labels to `device`; values are standardised by their mean and deviation over train."""
        import torch

        self.kind = data.kind
        self._data = data
        self.outputs = 24 if data.kind == "keys" else len(data.names)
        self.shift: NDArray[np.float64] | float = 0.0
        self.unit: NDArray[np.float64] | float = 1.0
        if self.kind == "values":
            train = np.asarray(data.y["train"], np.float64)
            self.shift, unit = train.mean(axis=0), train.std(axis=0)
            self.unit = np.where(unit > 0, unit, 1.0)
        dtype = torch.int64 if self.kind in ("classes", "keys") else torch.float32
        self.y: dict[Part, torch.Tensor] = {}
        for part in ("train", "valid"):
            y = np.asarray(data.y[part])
            y = (y - self.shift) / self.unit if self.kind == "values" else y
            self.y[part] = torch.as_tensor(y).to(device, dtype)

    def loss(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the mean loss (m,) of each member: `outputs` are (m, B, L), the labels `y` (B, ...)."""
        from torch.nn import functional

        if self.kind == "tags":
            each = functional.binary_cross_entropy_with_logits(outputs, y.expand_as(outputs), reduction="none")
            return each.mean(dim=(1, 2))
        if self.kind == "values":
            return ((outputs - y) ** 2).mean(dim=(1, 2))
        chosen = y[None, :, None].expand(len(outputs), -1, 1)
        return -outputs.log_softmax(dim=-1).gather(2, chosen).mean(dim=(1, 2))

    def one_hot(self, part: Part) -> torch.Tensor:
        """Return the labels of a part as numbers (n, L): 0 or 1 for tags, classes and keys."""
        from torch.nn import functional

        y = self.y[part]
        return y if y.dim() == 2 else functional.one_hot(y, self.outputs).float()

    def prediction(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs (n, L) in the units of the labels."""
        return np.asarray(outputs * self.unit + self.shift, np.float32)

    def primary(self, outputs: NDArray[np.float32]) -> tuple[float, str | None]:
        """Return the primary metric of outputs (n, L) on validation, and the best rule for clips (or None).

        It is macro ROC-AUC for tags, accuracy for classes, the weighted score for keys, and R² for values.
        """
        tracks = self._data.tracks("valid")
        if tracks is None:
            return self._score(outputs), None
        each = {rule: self._score(join(outputs, tracks[1], rule, self.kind)) for rule in RULES[self.kind]}
        best = max(each, key=lambda rule: each[rule])
        return each[best], best

    def _score(self, outputs: NDArray[np.float32]) -> float:
        truth: NDArray[Any] = self._data.truth("valid")
        if self.kind == "tags":
            return float(np.nanmean(roc_auc(truth, outputs)))
        if self.kind == "values":
            return value_scores(truth, self.prediction(outputs))["r2"]
        guess = outputs.argmax(axis=1)
        return float((key_points(truth, guess) if self.kind == "keys" else guess == truth).mean())
