"""Metrics of top-k lists and of MIR tasks; each module's table gives headings, ranges and directions."""

from collections.abc import Mapping

from bench.metrics.beyond_accuracy import BEYOND, Lists, PerUser, evaluate_beyond
from bench.metrics.classification import CLASSIFICATION
from bench.metrics.key_score import KEYS
from bench.metrics.metric import RECOMMENDATION, Metric
from bench.metrics.ranking import ALL, METRICS, chance, evaluate
from bench.metrics.truth import Truth, hits

__all__ = [
    "ALL",
    "BEYOND",
    "METRICS",
    "MIR",
    "RECOMMENDATION",
    "Lists",
    "Metric",
    "PerUser",
    "Truth",
    "chance",
    "evaluate",
    "evaluate_beyond",
    "find",
    "hits",
    "range_of",
    "versions",
]

MIR: Mapping[str, Metric] = {**CLASSIFICATION, **KEYS}
"""Metrics of MIR tasks, by name."""


def find(metric: str) -> Metric | None:
    """Return the description of a metric, named with or without its k and label; None for a plugin's metric.

    ``ndcg@10`` and ``ild:mfcc@10`` are metrics of lists, ``roc_auc`` and ``roc_auc:guitar`` of MIR tasks. A
    bare name that both kinds share, such as ``precision``, refers to the MIR metric.
    """
    name, at, _ = metric.partition(":")[0].partition("@")
    lists: list[Mapping[str, Metric]] = [METRICS, BEYOND]
    return next((table[name] for table in (lists if at else [MIR, *lists]) if name in table), None)


def range_of(metric: str) -> tuple[float, float]:
    """Return the range of values of a metric such as ``ndcg@10``; infinite for unknown metrics."""
    found = find(metric)
    return found.range if found else (-float("inf"), float("inf"))


def versions(kind: str) -> dict[str, str]:
    """Return the version of each metric of a kind: `RECOMMENDATION`, or a kind of MIR task such as ``tags``."""
    tables: list[Mapping[str, Metric]] = [METRICS, BEYOND, MIR]
    return {name: metric.version for table in tables for name, metric in table.items() if kind in metric.kinds}
