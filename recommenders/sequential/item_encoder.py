"""Item vectors as inputs and competitors of a sequence model: frozen, or with learned changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .settings import ItemMode, Projection


@dataclass(frozen=True)
class ItemEncoderConfig:
    """How item vectors are used.

    projection : of the vectors to the model's width; none: the model is as wide as the vectors
    mode : vectors stay as they are (frozen), are trained, or moved by at most `bound` of their length (delta)
    width : of the model, when `projection` is not none or there are no vectors
    normalize : competitors have length 1 in the softmax, whose temperature is learned
    extra : number of rows behind the items (mask, padding) that take part in the softmax
    """

    projection: Projection
    mode: ItemMode
    width: int
    normalize: bool
    bound: float
    extra: int


class ItemEncoder(nn.Module):
    """Rows of the vocabulary as inputs and as competitors.

    base : vectors (V, D) of the vocabulary, never changed; D = 0: rows are learned from N(0, 0.02)

    """

    base: torch.Tensor

    def __init__(self, base: torch.Tensor, config: ItemEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("base", base, persistent=False)  # given by the harness, so no checkpoint needs it
        rows, width = base.shape
        self.learned = width == 0
        self.width = config.width if self.learned or config.projection != "none" else width
        self.project: nn.Module = nn.Identity()
        if not self.learned and config.projection == "linear":
            self.project = nn.Linear(width, self.width)
        elif not self.learned and config.projection == "mlp":
            self.project = nn.Sequential(nn.Linear(width, self.width), nn.GELU(), nn.Linear(self.width, self.width))
        # `free` is added to the vectors, so that a checkpoint holds only what was learned.
        if self.learned:
            self.free: nn.Parameter | None = nn.Parameter(torch.randn(rows, self.width) * 0.02)
        elif config.mode == "frozen":
            self.free = None
        else:
            self.free = nn.Parameter(torch.zeros(rows, width))
        self.temperature = nn.Parameter(torch.zeros(())) if config.normalize else None
        special = torch.zeros(max(config.extra, 1), self.width)  # row 0 is the mask, row 1 padding
        nn.init.normal_(special[0], std=0.02)
        self.special = nn.Parameter(special, requires_grad=self.learned or config.mode != "frozen" or not config.extra)

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs (V + extra or 1, d), mask first behind the items, and competitors (V or V + extra, d)."""
        rows = self._projected(self.base, self.free)
        inputs = torch.cat([rows, self.special])
        return inputs, inputs if self.config.extra else self._competitors(rows)

    def catalog(self, vectors: torch.Tensor, vocabulary: torch.Tensor) -> torch.Tensor:
        """Return competitors (N, d) for the vectors (N, D) of all items, hot and cold.

        `vocabulary` (V,) are the items of the learned rows. Without vectors the rows of all others are zero.
        """
        if self.learned:
            assert self.free is not None
            rows = self.free.new_zeros(len(vectors), self.width)
            rows[vocabulary] = self.free.detach()
            return self._competitors(rows)
        free = None
        if self.free is not None:
            free = torch.zeros_like(vectors)
            free[vocabulary] = self.free.detach()
        return self._competitors(self._projected(vectors, free))

    def _projected(self, vectors: torch.Tensor, free: torch.Tensor | None) -> torch.Tensor:
        if self.learned:
            assert free is not None
            return free
        if free is None:
            moved = vectors
        elif self.config.mode == "trainable":
            moved = vectors + free
        else:
            # Scaled back to the ball, which keeps the learned direction; clipping coordinates would not.
            allowed = self.config.bound * vectors.norm(dim=1, keepdim=True)
            length = free.square().sum(1, keepdim=True).add(1e-24).sqrt()
            moved = vectors + free * (allowed / length).clamp(max=1.0)
        return self.project(moved)  # type: ignore[no-any-return]

    def _competitors(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows as they compete in the softmax, times the temperature, so that every loss has it."""
        if self.temperature is None:
            return rows
        return F.normalize(rows, dim=1) * self.temperature.exp()
