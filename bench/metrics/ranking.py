"""Accuracy of top-k lists against held-out items: one value per user, every k from one hit matrix.

Definitions are those of Music4All-Onion studies that use rs_metrics, with one difference: precision
always divides by k, whereas rs_metrics divides by the length of the returned list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics.metric import Metric, table
from bench.metrics.random_ranking import RandomRanking
from bench.metrics.truth import Ranked, Truth, hits, ideal


@dataclass(frozen=True, kw_only=True)
class RankingMetric(Metric):
    """A metric with one value per user, and its expected value for a uniformly random ranking.

    A user's value is the sum of the credits of the hits in the first k, divided by the user's norm.
    """

    credit: Callable[[Ranked], NDArray[np.float64]]
    """Computes the credit of each hit (H,)."""
    norm: Callable[[NDArray[np.int64], int], NDArray[np.floating] | NDArray[np.integer] | float] = lambda sizes, k: 1.0
    """Computes the norm (U,) from the numbers of held-out items (U,) and k."""
    chance: Callable[[RandomRanking, int], NDArray[np.float64]]
    """Computes the expected values (U,) from the numbers of candidates and held-out items, and k."""


# |T| is the number of a user's held-out items. Users without a hit score 0 in all metrics.
METRICS = table(
    RankingMetric(
        "hitrate",
        "HitRate",
        "share of users with at least one held-out item among the first k",
        credit=lambda hits: (hits.before == 0).astype(np.float64),
        chance=lambda random, k: 1 - random.miss[:, k - 1],
    ),
    RankingMetric(  # divided by |T|, not by min(k, |T|)
        "recall",
        "Recall",
        "share of a user's held-out items found among the first k",
        credit=lambda hits: np.ones(len(hits.user)),
        norm=lambda sizes, k: sizes,
        chance=lambda random, k: random.count[:, k - 1] / random.relevant,
    ),
    RankingMetric(  # a perfect list starts with min(k, |T|) hits
        "ndcg",
        "NDCG",
        "hits discounted by 1 / log2(rank + 1), relative to the best possible list",
        credit=lambda hits: hits.gains,
        norm=ideal,
        chance=lambda random, k: random.gain[:, k - 1] / ideal(random.relevant.astype(np.int64), k),
    ),
    RankingMetric(
        "mrr",
        "MRR",
        "1 / rank of the first hit, 0 if the first k hold none",
        credit=lambda hits: (hits.before == 0) / (hits.place + 1),
        chance=lambda random, k: random.reciprocal[:, k - 1],
    ),
    RankingMetric(  # divided by |T|: a perfect list scores below 1 if k is below |T|
        "map",
        "MAP",
        "precision averaged over all held-out items, those not found counting 0",
        credit=lambda hits: (hits.before + 1) / (hits.place + 1),
        norm=lambda sizes, k: sizes,
        chance=lambda random, k: random.precisions[:, k - 1] / random.relevant,
    ),
    RankingMetric(  # a perfect list scores 1 for any k
        "map_min",
        "MAP (min)",
        "as map, but divided by min(k, number of held-out items)",
        credit=lambda hits: (hits.before + 1) / (hits.place + 1),
        norm=np.minimum,
        chance=lambda random, k: random.precisions[:, k - 1] / np.minimum(random.relevant, k),
    ),
    RankingMetric(  # divided by k, even if fewer than k items were returned
        "precision",
        "Precision",
        "share of the k places that hold a held-out item",
        credit=lambda hits: np.ones(len(hits.user)),
        norm=lambda sizes, k: k,
        chance=lambda random, k: random.count[:, k - 1] / k,
    ),
)
"""All metrics of this module by name, in record order."""

ALL: tuple[str, ...] = tuple(METRICS)


def evaluate(
    topk: NDArray[np.int32], truth: Truth, ks: Iterable[int], names: Sequence[str] = ALL
) -> dict[str, NDArray[np.float64]]:
    """Return the metrics of every user, ``{"hitrate@10": (U,), ...}``; the mean over users is the score.

    Users without a hit score 0. Exclude users without held-out items beforehand.

    Parameters
    ----------
    topk
        Item indexes (U, K), best first, without duplicates in a list, -1 for no item.
    truth
        Held-out items of the same users, in the same order.
    ks
        Cut-offs, each in 1..K.
    names
        Names of metrics in `METRICS`.

    Raises
    ------
    ValueError
        For users without held-out items, an unknown metric or a k outside 1..K.

    """
    ks = list(ks)
    if unknown := [name for name in names if name not in METRICS]:
        raise ValueError(f"unknown metrics {unknown}; known are {', '.join(METRICS)}")
    ranked = Ranked.of(hits(topk, truth), truth.sizes)
    if wrong := [k for k in ks if not 1 <= k <= topk.shape[1]]:
        raise ValueError(f"k = {wrong[0]} is outside 1..{topk.shape[1]}, the length of the lists: rank with a larger k")
    if empty := int((ranked.sizes == 0).sum()):
        raise ValueError(f"{empty} of {len(topk)} users have no held-out item: leave them out before ranking")
    return values_of(ranked, ks, names)


def values_of(ranked: Ranked, ks: Iterable[int], names: Sequence[str] = ALL) -> dict[str, NDArray[np.float64]]:
    """Return the metrics of every user from their hits; see `evaluate`."""
    cut = {k: ranked.first(k) for k in ks}
    return {
        f"{name}@{k}": hits.summed(METRICS[name].credit(hits)) / METRICS[name].norm(hits.sizes, k)
        for name in names
        for k, hits in cut.items()
    }


def chance(
    n_candidates: NDArray[np.integer],
    n_relevant: NDArray[np.integer],
    ks: Iterable[int],
    reachable: NDArray[np.integer] | None = None,
) -> dict[str, float]:
    """Return the expected value of every metric for a uniformly random ranking, averaged over users.

    Parameters
    ----------
    n_candidates
        Number of candidates of each user (U,), without the user's history.
    n_relevant
        Number of held-out items of each user (U,), |T| in the metrics, at least 1.
    ks
        Cut-offs, as for `evaluate`.
    reachable
        Number of held-out items that are candidates (U,); by default all.

    Raises
    ------
    ValueError
        For users without held-out items, or with more reachable items than candidates, or a k below 1.

    """
    ks = list(ks)
    if len(n_candidates) == 0 or not ks:
        return {}
    if min(ks) < 1:
        raise ValueError(f"k = {min(ks)} must be at least 1")
    random = RandomRanking.of(n_candidates, n_relevant, max(ks), reachable)
    return {f"{name}@{k}": float(metric.chance(random, k).mean()) for k in ks for name, metric in METRICS.items()}
