"""Bootstrap intervals of a task's metrics, which are not means over items: resample and rescore the test set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.link_prediction import LinkScores, ranked_sets
from bench.protocols import Task
from bench.stats import LEAST_USERS, percentiles, wilson
from bench.stats.intervals import at_the_edge

LEAST, RESAMPLES = 100, 1000
WORK = 5e7
"""Maximum scores evaluated for one interval; large test sets get fewer resamples, but at least `LEAST`."""


def interval(
    task: Task, truth: NDArray[Any], prediction: NDArray[Any], groups: NDArray[np.int64], seed: int
) -> dict[str, tuple[float, float]]:
    """Return 95 % percentile bootstrap intervals of the macro metrics over groups of test items.

    A metric that is undefined in some resamples (a tag without tracks) uses only the others. An accuracy near 0
    or 1 gets Wilson's interval, with each group as one item. Fewer than `LEAST_USERS` groups give no interval.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    """
    rng = np.random.Generator(np.random.PCG64(seed))
    names, codes = np.unique(groups, return_inverse=True)
    if len(names) < LEAST_USERS:
        return {}
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(codes.max() + 2))
    sizes = np.diff(starts)
    resamples = int(np.clip(WORK / max(prediction.size, 1), LEAST, RESAMPLES))
    drawn: dict[str, list[float]] = {}
    for _ in range(resamples):
        chosen = rng.integers(0, len(sizes), len(sizes))
        lengths = sizes[chosen]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        rows = order[np.repeat(starts[chosen], lengths) + within]
        try:
            found = task.evaluate(truth[rows], prediction[rows], ())
        except (BenchError, ValueError):  # no metric is defined, such as for a single class
            continue
        for name, value in found.items():
            if name != "undefined" and ":" not in name:
                drawn.setdefault(name, []).append(value)
    out = {}
    for name, values in drawn.items():
        low, high = percentiles(np.asarray(values)[:, None])
        if low[0] < high[0]:
            out[name] = (float(low[0]), float(high[0]))
    share = task.evaluate(truth, prediction, ()).get("accuracy")
    if share is not None and at_the_edge(share, len(names)):
        out["accuracy"] = wilson(share, len(names))
    return out


def link_interval(truth: NDArray[np.int64], vectors: NDArray[np.float32], seed: int) -> dict[str, tuple[float, float]]:
    """Return 95 % percentile bootstrap intervals of the means over sets of links, over resampled items.

    Pairs are not independent, because each item is in many of them. So items are resampled, and a pair counts as
    often as both of its items occur. Sets with fewer than `LEAST_USERS` items give no interval.

    References
    ----------
    Snijders and Borgatti, Non-parametric standard errors and tests for network statistics (Connections 22, 1999).

    """
    sets = [pairs for _, pairs in ranked_sets(truth, vectors)]
    if min(pairs.n for pairs in sets) < LEAST_USERS:
        return {}
    rng = np.random.Generator(np.random.PCG64(seed))
    resamples = int(np.clip(WORK / sum(pairs.pairs for pairs in sets), LEAST, RESAMPLES))
    drawn = np.empty((resamples, len(sets), len(LinkScores._fields)))
    for sample in drawn:
        for at, pairs in enumerate(sets):
            sample[at] = pairs.scores(np.bincount(rng.integers(0, pairs.n, pairs.n), minlength=pairs.n))
    means = drawn.mean(axis=1)
    means = means[np.isfinite(means).all(axis=1)]
    if not len(means):
        return {}
    low, high = percentiles(means)
    bounds = zip(LinkScores._fields, low.tolist(), high.tolist(), strict=True)
    return {name: (one, other) for name, one, other in bounds if one < other}
