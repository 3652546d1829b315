"""EASE: the item-item model in closed form (Steck 2019, "Embarrassingly Shallow Autoencoders")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench import memory
from bench.errors import BenchError
from bench.protocols import Estimate, Interactions, Items, Recommender, RunContext, Shape, Validator

if TYPE_CHECKING:
    import torch

COPIES = 2
"""H x H float32 matrices in memory at once: the Gram matrix, which is inverted in place, and LAPACK's copy."""


@dataclass(frozen=True)
class EASESettings:
    """Settings of EASE.

    l2 : regularisation, added to the diagonal
    memory : most GB that the inversion may use; none: what is free when training begins
    """

    l2: float = 500.0
    memory: float | None = None

    def __post_init__(self) -> None:
        """Reject a singular matrix and an empty memory."""
        if self.l2 <= 0 or (self.memory is not None and self.memory <= 0):
            raise ValueError(f"l2 and memory must be positive, got {self.l2} and {self.memory}")


class EASE(Recommender):
    """Scores x B, where P = (X^T X + l2 I)^-1, B = -P / diag(P) by column, and diag(B) = 0.

    X is binary. The solution is exact; with H played tracks it takes 2 H^3 operations and 8 H^2 bytes (56,193
    tracks: 3.5e14 and 25 GB). A matrix that does not fit into memory is refused before any work. ELSA is its
    low-rank form for larger catalogues. EASE uses no item vectors; tracks not played in training score -inf.
    """

    Settings = EASESettings
    SPACE = "l2=1..10000(log)"
    name = "ease"
    needs = frozenset()
    settings: EASESettings

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Compute B (H, H).

        Raises
        ------
        BenchError
            When there are no pairs, or more tracks than memory allows.

        """
        import torch

        from ._cooccurrence import InteractionMatrix

        self._matrix = InteractionMatrix(train, self.name)
        size = len(self._matrix)
        self._check(size, run.device)
        weights = torch.empty((size, size), device=run.device)
        for block, counts in self._matrix.cooccurrences(run.device):
            weights[block] = counts
        weights.diagonal().add_(self.settings.l2)
        torch.linalg.cholesky(weights, out=weights)
        torch.cholesky_inverse(weights, out=weights)
        weights /= -weights.diagonal().clone()
        weights.diagonal().zero_()
        self._weights = weights

    def update_history(self, known: Interactions) -> None:
        """Sum over the tracks of `known` that training has."""
        self._matrix.update(known)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Return the sums (B, n_items) of the rows of B that belong to each user's tracks."""
        return self._matrix.to_catalog(self._matrix.sum_rows(users, self._weights))

    def plan(self, shape: Shape) -> Estimate:
        """Estimate the matrices.

        Raises
        ------
        BenchError
            When there are more tracks than memory allows.

        """
        note = self._check(shape.hot, shape.device)
        return Estimate(COPIES * 4 * shape.hot**2, [note] if note else [])

    def _check(self, size: int, device: str) -> str:
        """Refuse a matrix that does not fit; describe the cost of one above 0.1 GB, else return an empty text."""
        one = 4 * size**2 / 1e9
        own = self.settings.memory
        free = own if own is not None else memory.free(device) / 1e9
        need = f"{size} tracks need {COPIES} matrices of {one:.3g} GB = {COPIES * one:.3g} GB"
        if COPIES * one > free:
            where = "memory= allows" if own is not None else f"are free on {device}"
            fits = int((free * 1e9 / (4 * COPIES)) ** 0.5)
            raise BenchError(
                f"ease: {need}, and {free:.3g} GB {where}, enough for {fits} tracks. Use elsa, its low-rank form, "
                "or itemknn; or a machine with more memory."
            )
        return f"{need} and {2.0 * size**3:.1e} operations" if one > 0.1 else ""
