"""EASE: the item-item model in closed form (Steck 2019, "Embarrassingly Shallow Autoencoders")."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench import memory
from bench.devices import send
from bench.errors import BenchError
from bench.protocols import Estimate, Interactions, Items, Recommender, RunContext, Shape, Validator
from bench.text import duration

if TYPE_CHECKING:
    import torch

TRIED = 2048
"""Tracks of the inversion that is timed to estimate that of all; larger ones are no slower per operation."""
ADDITION = 4e-9
"""Seconds for one of the additions that make X^T X, about: measured with logs of 132,000 to 1.6 million pairs."""
FAR = 1.5
"""Estimates up to this many times the time granted are not refused: they are measured on a small matrix."""
BLOCK = 1024
"""Rows of the inverse that are copied at once from below the diagonal to above it."""


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

    X is binary. The solution is exact; with H played tracks it takes H^3 operations and 4 H^2 bytes, on a GPU 8 H^2
    (56,193 tracks: 1.8e14 and 13 GB). A matrix that does not fit into memory is refused before any work. ELSA is
    its low-rank form for larger catalogues. EASE uses no item vectors; tracks not played in training score -inf.
    """

    Settings = EASESettings
    SPACE = "l2=1..10000(log)"
    name = "ease"
    version = "2"
    needs = frozenset()
    settings: EASESettings

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Compute B (H, H).

        Raises
        ------
        BenchError
            When there are no pairs, more tracks than memory allows, `l2` is too small for float32, or the deadline
            comes before the last step.

        """
        import torch

        from ._cooccurrence import InteractionMatrix

        self._matrix = InteractionMatrix(train, self.name)
        size = len(self._matrix)
        self._check(size, run.device)
        weights = torch.zeros((size, size), device=run.device)
        for block, columns, counts in self._matrix.cooccurrences(run):
            weights[block].index_copy_(1, *send(run.device, columns, counts))
        weights.diagonal().add_(self.settings.l2)
        for share, step in ((1.0, _factorise), (2 / 3, _invert)):
            self._stop_at(run, share * size**3 if run.deadline is not None else 0.0)
            if step(weights):
                raise BenchError(
                    f"ease: with l2={self.settings.l2:g} the matrix of {size} tracks is singular in float32. Raise l2."
                )
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
        """Estimate memory and time.

        Raises
        ------
        BenchError
            When there are more tracks than memory allows, or the work takes much longer than the time granted.

        """
        note = self._check(shape.hot, shape.device)
        if note or shape.seconds is not None:
            additions = float(np.square(shape.lengths, dtype=np.float64).sum()) + shape.hot**2
            seconds = ADDITION * additions + shape.hot**3 / _operations_per_second(shape.device)
            if shape.seconds is not None and seconds > FAR * shape.seconds:
                raise BenchError(
                    f"ease: {shape.hot} tracks take about {duration(seconds)} on {shape.device}, and --max-time grants "
                    f"{duration(shape.seconds)}. Grant more, or use elsa, which keeps its best state."
                )
            note = note and f"{note}, about {duration(seconds)} on {shape.device}"
        return Estimate(_copies(shape.device) * 4 * shape.hot**2 + 64 * shape.pairs, [note] if note else [])

    def _stop_at(self, run: RunContext, operations: float) -> None:
        """Stop when the deadline has passed, or long before it when the operations left take much longer."""
        if run.deadline is None:
            return
        left = run.deadline - time.monotonic()
        if left <= 0 or operations / _operations_per_second(run.device) > FAR * left:
            raise BenchError(
                f"ease: --max-time is over, or too short for the matrix of {len(self._matrix)} tracks, and a part of "
                "the work is no model. Grant more time, or use elsa, which keeps its best state."
            )

    def _check(self, size: int, device: str) -> str:
        """Refuse a matrix that does not fit; describe the cost of one above 0.1 GB, else return an empty text."""
        one = 4 * size**2 / 1e9
        own = self.settings.memory
        free = own if own is not None else memory.free(device) / 1e9
        copies = _copies(device)
        need = f"{size} tracks need {copies * one:.3g} GB"
        if copies * one > free:
            where = "memory= allows" if own is not None else f"are free on {device}"
            fits = int((free * 1e9 / (4 * copies)) ** 0.5)
            raise BenchError(
                f"ease: {need}, and {free:.3g} GB {where}, enough for {fits} tracks. Use elsa, its low-rank form, "
                "or itemknn; or a machine with more memory."
            )
        return f"{need} and {float(size) ** 3:.1e} operations" if one > 0.1 else ""


def _copies(device: str) -> int:
    """Return how many H x H float32 matrices are in memory at once: scipy works in place, torch with a copy."""
    return 1 if device == "cpu" else 2


def _factorise(matrix: torch.Tensor) -> bool:
    """Replace a positive definite matrix (H, H) by its lower Cholesky factor, H^3 / 3 operations; return if it failed.

    On the CPU by scipy: its OpenBLAS takes half the time of the LAPACK that torch uses. Above the diagonal, the
    factor has values that `_invert` does not read.
    """
    if matrix.device.type == "cpu":
        from scipy.linalg.lapack import spotrf

        # LAPACK stores by columns, so the transpose is what it writes in place.
        return bool(spotrf(matrix.numpy().T, lower=0, clean=0, overwrite_a=1)[1])
    import torch

    info = torch.zeros((), dtype=torch.int32, device=matrix.device)
    # By columns, as cuSOLVER stores them: torch would copy another layout there and back.
    torch.linalg.cholesky_ex(matrix.T, upper=True, out=(matrix.T, info))
    return bool(info)


def _invert(factor: torch.Tensor) -> bool:
    """Replace a lower Cholesky factor (H, H) by the inverse, 2 H^3 / 3 operations; return whether it failed."""
    if factor.device.type != "cpu":
        import torch

        torch.cholesky_inverse(factor.T, upper=True, out=factor.T)
        return False
    from scipy.linalg.lapack import spotri

    inverse = factor.numpy()
    failed = bool(spotri(inverse.T, lower=0, overwrite_c=1)[1])
    for start in range(0, len(inverse), BLOCK):
        rows, right = slice(start, start + BLOCK), slice(start + BLOCK, None)
        inverse[rows, right] = inverse[right, rows].T
        corner = np.tril(inverse[rows, rows])
        inverse[rows, rows] = corner + np.tril(corner, -1).T
    return failed


@lru_cache
def _operations_per_second(device: str) -> float:
    """Time the inversion of a small matrix, after a smaller one, which loads the libraries."""
    import torch

    spent = 0.0
    for size in (64, TRIED):
        matrix = torch.full((size, size), 1.0, device=device)
        matrix.diagonal().add_(size)
        started = time.monotonic()
        _factorise(matrix)
        _invert(matrix)
        float(matrix[0, 0])  # waits for a GPU
        spent = time.monotonic() - started
    return TRIED**3 / max(spent, 1e-9)
