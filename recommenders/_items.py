"""The item side of a sequence model: frozen vectors, and whatever is learned on top of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

Projection = Literal["none", "linear", "mlp"]
Mode = Literal["frozen", "trainable", "delta"]


@dataclass(frozen=True)
class ItemPlan:
    """What becomes of item vectors.

    projection : what maps vectors to the model's width; none: the model is as wide as they are
    mode : vectors as they are; trained from there; or moved by at most `bound` of their length
    width : of the model, when `projection` is not none or there are no vectors
    normalize : competitors have length 1 in the softmax, whose temperature is learned
    extra : rows behind the items (mask, padding) that take part in the softmax
    """

    projection: Projection
    mode: Mode
    width: int
    normalize: bool
    bound: float
    extra: int


class ItemSide(nn.Module):
    """Rows of the vocabulary as inputs and as competitors.

    base : vectors (V, D) of the vocabulary, never written to; D = 0: rows are learned from N(0, 0.02)

    """

    base: torch.Tensor

    def __init__(self, base: torch.Tensor, plan: ItemPlan) -> None:
        super().__init__()
        self.plan = plan
        self.register_buffer("base", base, persistent=False)  # it is the harness's: no checkpoint needs it
        rows, width = base.shape
        self.own = width == 0
        self.width = plan.width if self.own or plan.projection != "none" else width
        self.project: nn.Module = nn.Identity()
        if not self.own and plan.projection == "linear":
            self.project = nn.Linear(width, self.width)
        elif not self.own and plan.projection == "mlp":
            self.project = nn.Sequential(nn.Linear(width, self.width), nn.GELU(), nn.Linear(self.width, self.width))
        # `free` is added to the vectors, so that a checkpoint holds what was learned and nothing else.
        if self.own:
            self.free: nn.Parameter | None = nn.Parameter(torch.randn(rows, self.width) * 0.02)
        elif plan.mode == "frozen":
            self.free = None
        else:
            self.free = nn.Parameter(torch.zeros(rows, width))
        self.temperature = nn.Parameter(torch.zeros(())) if plan.normalize else None
        special = torch.zeros(max(plan.extra, 1), self.width)  # row 0 is the mask, row 1 padding
        nn.init.normal_(special[0], std=0.02)
        self.special = nn.Parameter(special, requires_grad=self.own or plan.mode != "frozen" or not plan.extra)

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs (V + extra or 1, d), mask first behind the items, and competitors (V or V + extra, d)."""
        rows = self._projected(self.base, self.free)
        inputs = torch.cat([rows, self.special])
        return inputs, inputs if self.plan.extra else self._compete(rows)

    def catalogue(self, vectors: torch.Tensor, vocabulary: torch.Tensor) -> torch.Tensor:
        """Return competitors (N, d) for the vectors (N, D) of all items, hot and cold.

        `vocabulary` (V,) says which items the learned rows belong to. Without vectors the others have
        zeros.
        """
        if self.own:
            assert self.free is not None
            rows = self.free.new_zeros(len(vectors), self.width)
            rows[vocabulary] = self.free.detach()
            return self._compete(rows)
        free = None
        if self.free is not None:
            free = torch.zeros_like(vectors)
            free[vocabulary] = self.free.detach()
        return self._compete(self._projected(vectors, free))

    def _projected(self, vectors: torch.Tensor, free: torch.Tensor | None) -> torch.Tensor:
        if self.own:
            assert free is not None
            return free
        if free is None:
            moved = vectors
        elif self.plan.mode == "trainable":
            moved = vectors + free
        else:
            # Scaled back to the ball, not clipped by coordinate: a direction learned is a direction kept.
            allowed = self.plan.bound * vectors.norm(dim=1, keepdim=True)
            length = free.square().sum(1, keepdim=True).add(1e-24).sqrt()
            moved = vectors + free * (allowed / length).clamp(max=1.0)
        return self.project(moved)  # type: ignore[no-any-return]

    def _compete(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows as the softmax sees them; the temperature rides on them, so that every loss has it."""
        if self.temperature is None:
            return rows
        return F.normalize(rows, dim=1) * self.temperature.exp()


def standardized(vectors: Any, rows: Any) -> tuple[Any, float]:
    """Return the mean (D,) and the scale of `vectors` (N, D) over the items `rows`, for unit variance.

    One scale for all columns, so that the geometry stays: it only decides how a position (N(0, 0.02)) or
    a mask compares with a track.
    """
    known = vectors[rows]
    mean = known.mean(axis=0, dtype="float64").astype("float32")
    scale = float((known - mean).std(dtype="float64"))
    return mean, scale or 1.0
