"""How names and numbers are spelt in every table."""

from __future__ import annotations

import math

from bench.errors import BenchError, did_you_mean
from bench.metrics import METRICS, find

SETS = ("hot", "cold", "mixed")
"""Candidate sets, in the order of the columns."""

MAIN = ("hitrate", "recall", "ndcg")
"""Metrics of the main tables; the others stand there on request, and always in the CSV."""

RANKED_BY = "ndcg"
"""The metric that orders rows and carries the interval in the main tables."""

NONE = "–"
"""An absent value."""

SET_GLOSSARY = {
    "hot": "tracks that were heard in training compete with each other",
    "cold": "tracks that nobody heard in training compete with each other",
    "mixed": "hot and cold tracks compete in one list",
}


def number(value: float | None, digits: int = 4) -> str:
    """Return `value` with so many decimals, or a dash when it is absent or not finite."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def short(value: float | None, digits: int = 4) -> str:
    """Return as `number`, without a leading zero (``.1234``)."""
    return number(value, digits).removeprefix("0")


def bounds(mean: float, low: float | None, high: float | None) -> str:
    """Return a mean with its interval where there is one, ``0.1234 [0.1150, 0.1320]``."""
    if low is None or high is None:
        return number(mean)
    return f"{number(mean)} [{number(low)}, {number(high)}]"


def percent(share: float | None) -> str:
    """Return a share as per cent with one decimal, rounded down: less than all never reads 100.0 %."""
    if share is None or not math.isfinite(share):
        return NONE
    return f"{math.floor(share * 1000 + 1e-9) / 10:.1f} %"


def heading(metric: str) -> str:
    """Return the heading of ``ndcg@10`` (``NDCG@10``), ``ild:mfcc`` (``ILD mfcc``) or ``roc_auc`` (``ROC-AUC``)."""
    known = find(metric)
    return known.heading + metric.removeprefix(known.name).replace(":", " ", 1) if known else metric


def glossary(metric: str) -> str | None:
    """Return one line that says what a metric is; None for one from elsewhere."""
    known = find(metric)
    return known.glossary if known else None


def parts(metric: str) -> tuple[str, int]:
    """Split ``ndcg@10`` into its name and k.

    Raises
    ------
    ValueError
        For a name without ``@k``.

    """
    name, _, k = metric.rpartition("@")
    if not name:
        raise ValueError(f"metric {metric!r} does not name its k")
    return name, int(k)


def checked(metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Return the metrics asked for.

    Raises
    ------
    BenchError
        For a metric that does not exist.

    """
    for name in metrics:
        if name not in METRICS:
            raise BenchError(f"there is no metric {name!r}.{did_you_mean(name, METRICS)}")
    return metrics
