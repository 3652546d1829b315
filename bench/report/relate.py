"""How two columns of few values order the same models: rank correlation, exactly and with its doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.stats import correlations, interval, rank_correlation


@dataclass(frozen=True)
class Relation:
    """Rank correlations of two columns over the `n` models that have both, with two-sided permutation p."""

    n: int
    exact: bool
    """Whether p counts every permutation."""
    spearman: float
    spearman_p: float
    kendall: float
    kendall_p: float
    low: float | None
    high: float | None
    """95 % interval of Spearman's."""
    over: Literal["users", "models"]
    """What was drawn anew for the interval."""


def relate(x: NDArray[np.float64], y: NDArray[np.float64], draws: NDArray[np.float64] | None = None) -> Relation | None:
    """Correlate the ranks of `x` and `y` (n,); None for fewer than three models, or a column of one value.

    Parameters
    ----------
    x, y
        A value per model.
    draws
        Of `x` when the users are drawn anew (resamples, n): the interval then says how far the listeners
        decide the correlation. Without them the models are drawn anew, which says how far these models do.

    """
    if len(x) < 3:
        return None
    rho, tau = rank_correlation(x, y, "spearman"), rank_correlation(x, y, "kendall")
    if rho.value is None or rho.p is None or tau.value is None or tau.p is None:
        return None
    low, high = rho.low, rho.high
    if draws is not None:
        again = correlations(draws, y, "spearman")
        again = again[np.isfinite(again)]  # a draw may leave a column of one value
        low, high = interval(again) if len(again) else (None, None)
    return Relation(
        n=rho.n,
        exact=rho.exact,
        spearman=rho.value,
        spearman_p=rho.p,
        kendall=tau.value,
        kendall_p=tau.p,
        low=low,
        high=high,
        over="models" if draws is None else "users",
    )
