"""iALS: weighted matrix factorisation by alternating least squares (Hu, Koren & Volinsky 2008)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.protocols import Interactions, Items, Recommender, RunContext, Validator


@dataclass(frozen=True)
class IALSSettings:
    """The settings of ``implicit.als.AlternatingLeastSquares``.

    factors : width of users' and tracks' factors
    regularization : of both
    alpha : the confidence of a pair is alpha times its weight; that of all other cells is 1
    weight : of a pair: 1 (none), 1 + log(plays) (log), or plays (count)
    iterations : how often users and tracks are solved for
    threads : 0: all cores
    """

    factors: int = 64
    regularization: float = 10.0
    alpha: float = 2.0
    weight: Literal["none", "log", "count"] = "none"
    iterations: int = 15
    threads: int = 0

    def __post_init__(self) -> None:
        """Reject values that ``implicit`` cannot use."""
        if min(self.factors, self.iterations, self.alpha) <= 0 or min(self.regularization, self.threads) < 0:
            raise ValueError("factors, iterations and alpha must be positive, regularization and threads not negative")


class IALS(Recommender):
    """Products of factors that ``implicit`` learns (MIT licence; ``pip install`` the extra ``cf``).

    It uses no item vectors, so it runs once for all extractors; tracks not played in training score -inf. It
    runs on the CPU for every device: the GPU build of ``implicit`` is another package.
    """

    Settings = IALSSettings
    SPACE = "factors=32|64|128,regularization=0.1..100.0(log),alpha=0.5..50.0(log),weight=none|log"
    name = "ials"
    needs = frozenset()
    deterministic = False
    requires = ("implicit",)
    extra = "cf"
    settings: IALSSettings

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Learn the factors; at the deadline keep those of the last complete iteration.

        Raises
        ------
        BenchError
            When there are no pairs, or the factors are not finite.

        """
        from implicit.cpu.als import AlternatingLeastSquares
        from scipy.sparse import csr_matrix
        from threadpoolctl import threadpool_limits

        from ._cooccurrence import InteractionMatrix

        own = self.settings
        self._matrix = matrix = InteractionMatrix(train, self.name)
        weights = {"none": np.ones(len(train)), "log": 1 + np.log(train.count), "count": train.count}[own.weight]
        cells = weights[matrix.order].astype(np.float32), matrix.item, matrix.indptr
        with threadpool_limits(1, "blas"):  # implicit's own threads are faster when BLAS adds none
            self._learn(AlternatingLeastSquares, csr_matrix(cells, (matrix.n_users, len(matrix))), run)

    def _learn(self, make: Any, matrix: Any, run: RunContext) -> None:
        own = self.settings
        model = make(
            factors=own.factors,
            regularization=own.regularization,
            alpha=own.alpha,
            iterations=own.iterations,
            num_threads=own.threads,
            random_state=run.seed,
        )

        def note(iteration: int, seconds: float, _loss: float | None) -> None:
            left = seconds * (own.iterations - iteration - 1)
            run.log(f"iteration {iteration + 1} of {own.iterations}: {seconds:.1f} s, {left:.0f} s left")
            run.trained.update(epochs=iteration + 1, best_epoch=iteration + 1, stopped="epochs")
            if run.deadline is not None and time.monotonic() > run.deadline and iteration + 1 < own.iterations:
                raise _DeadlineReached

        try:
            model.fit(matrix, show_progress=False, callback=note)
        except _DeadlineReached:
            run.trained["stopped"] = "deadline"
            run.log("ials: stopped at the deadline")
        self._users, self._items = np.asarray(model.user_factors), np.asarray(model.item_factors)
        if not (np.isfinite(self._users).all() and np.isfinite(self._items).all()):
            raise BenchError("ials: the factors are not finite. Raise regularization.")

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> NDArray[np.float32]:
        """Return products of factors (B, n_items)."""
        import torch

        return self._matrix.to_catalog(torch.from_numpy(self._users[users] @ self._items.T)).numpy()


class _DeadlineReached(Exception):  # noqa: N818 - not an error
    """Ends ``implicit``'s loop between two iterations."""
