"""Solve linear probes exactly for a path of L2 penalties.

The objective is the loss of all training rows plus ``penalty / 2 * |weights|^2``; intercepts have no penalty. So the
penalty is scikit-learn's ``alpha`` of ridge regression and its ``1 / C`` of logistic regression. Ridge regression has a
closed form; logistic regression is solved by L-BFGS. One eigendecomposition serves the whole path: of the covariance
matrix, or of the inner products of the rows where there are fewer rows than features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.devices import has_float64

if TYPE_CHECKING:
    import torch

Loss = Literal["squared", "softmax", "sigmoid"]
"""Ridge regression; multinomial logistic regression; one logistic regression for each label."""
_BLOCK = 4096
"""Rows or features per block when a product is summed in float64."""
_DOUBLE = 1 << 22
"""Largest number of values in the training rows for which their products use float64; sums of blocks always do."""
_ABSENT = -1e4
"""Intercept of a label that no training row has; the negative of it if every row has the label."""


class Solver:
    """Linear probes on one set of training rows, expressed in the principal components of the rows."""

    def __init__(self, x: torch.Tensor, *, scale: bool) -> None:
        """Find the principal components of the rows `x` (n, D); with `scale`, of its standardised features.

        A feature that is constant up to rounding is not used when features are standardised.
        """
        import torch

        self._x = x
        self._exact = torch.float64 if has_float64(str(x.device)) else torch.float32
        self._dtype = self._exact if x.numel() <= _DOUBLE else torch.float32
        # Powers of two lose no digit, and keep squares in the range of float32.
        largest = torch.maximum(x.amax(dim=0), -x.amin(dim=0))
        self._unit = torch.ldexp(torch.ones_like(largest), -torch.frexp(largest).exponent.clamp(min=-120))
        self._shift = (x[:_BLOCK] * self._unit).mean(dim=0)
        self._mean = torch.stack([b.sum(dim=0, dtype=self._exact) for b in self._blocks()]).sum(dim=0) / len(x)
        self._decompose(scale)

    def centre(self, x: torch.Tensor) -> torch.Tensor:
        """Return rows `x` (m, D) as the weights of `path` expect them: near zero mean and in units of powers of two."""
        return x * self._unit - self._shift

    def _blocks(self) -> Iterator[torch.Tensor]:
        import torch

        return (self.centre(x).to(self._dtype) for x in torch.split(self._x, _BLOCK))

    def _decompose(self, scale: bool) -> None:
        """Compute the variances of the components (r,) and the matrix (D, r) that projects centred rows on them."""
        import torch

        n, width = self._x.shape
        wide = width > n
        if wide:
            rows = torch.cat(list(self._blocks())).to(self._exact) - self._mean
            variances = (rows**2).mean(dim=0)
        else:
            matrix = sum((b.T @ b).to(self._exact) for b in self._blocks()) / n - torch.outer(self._mean, self._mean)
            variances = matrix.diagonal().clamp(min=0)
        deviation = variances.sqrt()
        varies = deviation > 1e-6 * (self._mean + self._shift).abs()
        factor = torch.where(varies, 1 / deviation, 0) if scale else 1 / self._unit.to(self._exact)
        if wide:
            rows = rows * factor
            matrix = rows @ rows.T / n
        else:
            matrix = matrix * torch.outer(factor, factor)
        values, vectors = torch.linalg.eigh(matrix)
        rounding = 1e-6 if self._dtype == torch.float32 else torch.finfo(self._dtype).eps * max(n, width)
        kept = values > values[-1].clamp(min=0) * rounding
        self._variances, vectors = values[kept], vectors[:, kept]
        components = rows.T @ vectors / (n * self._variances).sqrt() if wide else vectors
        self._components = factor[:, None] * components

    def path(
        self, y: torch.Tensor, penalties: Iterable[float], loss: Loss
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the weights (D, L) and the intercepts (L,) for each penalty; they apply to rows of `centre`.

        Parameters
        ----------
        y
            Labels (n, L): numbers for ``squared``, otherwise 0 or 1.
        penalties
            Positive; for logistic regression fastest in descending order, because each solution starts the next.
        loss
            The loss of one row, summed over the labels.

        """
        means = (penalty / len(y) for penalty in penalties)
        for weights, intercepts in self._ridge(y, means) if loss == "squared" else self._logistic(y, means, loss):
            original = self._components @ weights.T
            yield original, intercepts - self._mean @ original

    def _ridge(self, y: torch.Tensor, penalties: Iterable[float]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        import torch

        mean = y.mean(dim=0, dtype=self._exact)
        centred = torch.split((y - mean).to(self._dtype), _BLOCK)
        products = sum((b.T @ part).to(self._exact) for b, part in zip(self._blocks(), centred, strict=True))
        covariances = (self._components.T @ products).T / len(y)
        for penalty in penalties:
            yield covariances / (self._variances + penalty), mean

    def _logistic(
        self, y: torch.Tensor, penalties: Iterable[float], loss: Loss
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        import torch

        share = y.mean(dim=0, dtype=self._exact)
        known = (share > 0) & (share < 1)
        components, mean = self._components.to(self._dtype), self._mean.to(self._dtype)
        rows = torch.cat([(b - mean) @ components for b in self._blocks()])
        problem = _Logistic(rows, y[:, known].to(self._dtype), loss)
        for penalty in penalties:
            weights = torch.zeros((len(share), rows.shape[1]), dtype=self._exact, device=y.device)
            intercepts = torch.where(share > 0, -_ABSENT, _ABSENT).to(self._exact)
            solution = problem.solve(penalty).to(self._exact)
            weights[known], intercepts[known] = solution[:, :-1], solution[:, -1]
            yield weights, intercepts


class _Logistic:
    """Logistic regression by L-BFGS, which starts from the previous solution.

    L-BFGS varies the weights divided by a scale that makes the second derivatives with respect to each of them one
    at the start.
    """

    def __init__(self, rows: torch.Tensor, y: torch.Tensor, loss: Loss) -> None:
        """Start without weights, and with the intercepts that give the shares of the labels."""
        import torch

        # Outputs are (L, n): softmax over a short last axis would be slow.
        self._rows = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1).T.contiguous()
        self._y, self._loss = y.T.contiguous(), loss
        share = self._y.mean(dim=1)
        self._solution = torch.zeros((len(self._y), len(self._rows)), dtype=rows.dtype, device=rows.device)
        self._solution[:, -1] = share.log() if loss == "softmax" else share.logit()

    def solve(self, penalty: float) -> torch.Tensor:
        """Return the weights and, in the last column, the intercepts (L, r + 1)."""
        import torch
        from scipy.optimize import minimize

        penalties = torch.full_like(self._solution[0], penalty)
        penalties[-1] = 0
        probability = self._probabilities(self._solution)[0]
        spread = (probability * (1 - probability)).clamp(min=1e-12) / self._y.shape[1]
        scale = (spread @ (self._rows**2).T + penalties).rsqrt()

        def weights(flat: NDArray[np.float64]) -> torch.Tensor:
            return torch.from_numpy(flat).to(scale.dtype).to(scale.device).view(scale.shape) * scale

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            w = weights(flat)
            probability, loss = self._probabilities(w)
            gradient = (probability - self._y) @ self._rows.T / self._y.shape[1] + penalties * w
            return float(loss + (penalties * w * w).sum() / 2), (gradient * scale).cpu().double().numpy().ravel()

        start = (self._solution / scale).cpu().double().numpy().ravel()
        tolerance = 3e-6 if scale.dtype == torch.float64 else 1e-5
        options = {"maxiter": 5000, "maxfun": 10000, "ftol": 0.0, "gtol": tolerance}
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        self._solution = weights(found.x)
        return self._solution

    def _probabilities(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the probabilities (L, n) under weights `w`, and the mean loss over the rows."""
        from torch.nn import functional

        outputs = w @ self._rows
        if self._loss == "softmax":
            logarithm = outputs.log_softmax(dim=0)
            return logarithm.exp(), -(logarithm * self._y).sum() / self._y.shape[1]
        loss = functional.binary_cross_entropy_with_logits(outputs, self._y, reduction="sum")
        return outputs.sigmoid(), loss / self._y.shape[1]
