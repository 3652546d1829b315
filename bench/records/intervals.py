"""The intervals of a record's means: over listeners, and over artists as well where the items are new."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.metrics import range_of
from bench.metrics.from_ranks import pair_values
from bench.records.ranks import HeldOut
from bench.stats import Interval, PairScores, item_clusters, mean_intervals, pair_weights, two_way
from bench.stats.intervals import at_the_edge


def mean_intervals_of(
    where: str, values: Mapping[str, NDArray[np.float64]], held_out: HeldOut, seed: int
) -> dict[str, tuple[float, float]]:
    """Return the 95 % intervals of some means on a candidate set.

    On hot items they are those of `bench.stats.mean_intervals` over listeners. On cold and mixed ones they are those of
    `bench.stats.two_way` over listeners and artists, within the range of the metric; those of means near 0 or 1, where
    Student's t is not reliable, also contain the interval over listeners.

    Parameters
    ----------
    where
        The candidate set.
    values
        Values (U,) of each listener by metric, such as ``ndcg@10``.
    held_out
        The ranks from which the values follow.
    seed
        Random seed of the resampling.

    """
    spans = mean_intervals(values, seed=seed)
    if where != "hot" and spans:
        listener, cluster = held_out.listener, item_clusters(held_out.artist, held_out.item)
        weight = pair_weights(listener)
        for metric, span in spans.items():
            name, _, k = metric.rpartition("@")
            scores = PairScores(pair_values(name, int(k), held_out)[None], weight, listener, cluster)
            if wider := two_way(scores).interval():
                low, high = range_of(metric)
                found = Interval(max(low, wider.low), min(high, wider.high))
                if at_the_edge(float(values[metric].mean()), len(values[metric])):
                    found = Interval(min(found.low, span.low), max(found.high, span.high))
                spans[metric] = found
    return {metric: (float(span.low), float(span.high)) for metric, span in spans.items()}
