"""The linear probe: ridge or logistic regression, solved exactly; validation chooses the penalty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.probes.data import Part, ProbeData
from bench.probes.features import Features
from bench.probes.objective import Objective
from bench.probes.search import Best, SearchResult, predict
from bench.probes.solve import Loss, Solver
from bench.protocols import RunContext

if TYPE_CHECKING:
    import torch

RIDGE = tuple(10.0 ** (step / 2) for step in range(12, -5, -1))
"""Penalties of ridge regression, from 1,000,000 down to 0.01."""
LOGISTIC = tuple(10.0**step for step in range(5, -3, -1))
"""Penalties of logistic regression, from 100,000 down to 0.01."""


@dataclass(frozen=True)
class Linear:
    """Linear probe at its optimum. By default, validation chooses l2, the penalty on squared weights.

    l2 : the objective is the loss of all training rows plus l2 / 2 times the sum of the squared weights
    loss : squared (ridge regression) or logistic; auto: logistic for classes and keys, squared for tags and values
    scale : standardise each feature by its mean and deviation over train
    """

    version: ClassVar[str] = "2"

    l2: float | None = None
    loss: Literal["auto", "squared", "logistic"] = "auto"
    scale: bool = True

    def __post_init__(self) -> None:
        """Check that l2 is positive."""
        if self.l2 is not None and not 0 < self.l2 < float("inf"):
            raise ValueError("l2 must be positive: with l2=0 there may be no optimum")


def linear(data: ProbeData, settings: Linear, seed: int, run: RunContext) -> SearchResult:
    """Solve the linear probe for each penalty. `seed` is not used, because nothing is random.

    Raises
    ------
    BenchError
        If values are to be predicted with the logistic loss.

    """
    features, objective = Features(data, run.device), Objective(data, run.device)
    return predict(data, objective, best_line(features, objective, settings))


def best_line(features: Features, objective: Objective, settings: Linear) -> Best:
    """Solve the linear probe for each penalty, and choose the best; of equals, the one with the largest penalty.

    Penalties below 1 are tried only while each is better than all larger ones: they need the most time, and seldom
    help.
    """
    loss = _loss(objective, settings)
    grid = (RIDGE if loss == "squared" else LOGISTIC) if settings.l2 is None else (settings.l2,)
    name = "squared" if loss == "squared" else "logistic"

    solver = Solver(features.of("train", False), scale=settings.scale)
    rows = cache(lambda part: solver.centre(features.of(part, False)))

    def outputs(part: Part, weights: torch.Tensor, intercepts: torch.Tensor) -> NDArray[np.float32]:
        found: NDArray[np.float32] = (rows(part) @ weights + intercepts).cpu().numpy()
        return found

    best, searched = None, []
    for l2, solution in zip(grid, solver.path(objective.one_hot("train"), grid, loss), strict=False):
        weights, intercepts = (tensor.float() for tensor in solution)
        value, clips = objective.primary(outputs("valid", weights, intercepts))
        searched.append({"hidden": [], "loss": name, "scale": settings.scale, "l2": l2, "validation": value})
        if best is None or value > best.validation:
            test = partial(outputs, "test", weights, intercepts)
            best = Best(value, clips, searched[-1], searched, test, _edge(grid, l2))
        elif l2 <= 1:
            break
    assert best is not None
    return best


def _loss(objective: Objective, settings: Linear) -> Loss:
    if settings.loss == "logistic" and objective.kind == "values":
        raise BenchError("probe linear: loss=logistic predicts labels. Values need loss=squared.")
    if settings.loss == "squared" or (settings.loss == "auto" and objective.kind in ("tags", "values")):
        return "squared"
    return "sigmoid" if objective.kind == "tags" else "softmax"


def _edge(grid: Sequence[float], l2: float) -> list[str]:
    """Return a note if the penalty is the largest or smallest of several, so that a better one may lie beyond."""
    if len(grid) == 1 or l2 not in (grid[0], grid[-1]):
        return []
    return [f"the {'largest' if l2 == grid[0] else 'smallest'} penalty tried, l2={l2:g}, was chosen"]
