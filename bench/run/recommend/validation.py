"""Validation data for models: an NDCG, and in the published lane the pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.protocols import Interactions, Recommender
from bench.run.recommend.top_lists import SETS, evaluated, lists
from bench.splits.make import Split, Which


def absent(split: Split, who: str) -> str | None:
    """Return an error message if the split has no validation pairs, which the model `who` needs; else None."""
    if len(split.held_out):
        return None
    return (
        f"{who} ends its training by validation, and split {split.settings.describe()} leaves no validation pairs. "
        "Change --split, or take a model that is not trained step by step, such as knn or ease."
    )


class Validation:
    """The only access of models to validation data: NDCG at the run's k, on hot items unless all are cold."""

    def __init__(self, split: Split, present: NDArray[np.bool_] | None, longest: int, k: int, seed: int):
        self._split, self._present, self._longest, self._k, self._seed = split, present, longest, k, seed
        self._which: Which = "hot" if len(split.truth("valid", "hot").users) else "cold"

    def __call__(self, model: Recommender) -> float:
        """Return the mean NDCG@k over validation users, for early stopping."""
        which = self._which
        found = lists(model, self._split, "valid", (which,), self._present, self._k, self._seed)
        if which not in found.truths:
            raise BenchError(absent(self._split, model.name) or "no validation user has anything to find.")
        return float(evaluated(found, self._split, "valid", (self._k,))[which].values[f"ndcg@{self._k}"].mean())

    def held_out(self) -> Interactions:
        """Return the validation pairs for published stopping rules; models of the corrected lane do not use them."""
        return self._split.held_out

    def means(self, model: Recommender, ks: Sequence[int]) -> dict[str, dict[str, float]]:
        """Return the means of all metrics on every candidate set of the validation part."""
        found = lists(model, self._split, "valid", SETS, self._present, self._longest, self._seed)
        return {
            name: {metric: float(value.mean()) for metric, value in each.values.items()}
            for name, each in evaluated(found, self._split, "valid", ks).items()
            if not found.unranked(name)
        }
