"""How names and numbers are spelt in every table."""

from __future__ import annotations

import math

from bench.errors import BenchError, did_you_mean
from bench.metrics import METRICS

SETS = ("hot", "cold", "mixed")
"""Candidate sets, in the order of the columns."""

MAIN = ("hitrate", "recall", "ndcg")
"""Metrics of the main tables; the others stand there on request, and always in the CSV."""

RANKED_BY = "ndcg"
"""The metric that orders rows and carries the interval in the main tables."""

NONE = "–"
"""An absent value."""

HEADINGS = {
    "hitrate": "HitRate",
    "recall": "Recall",
    "ndcg": "NDCG",
    "mrr": "MRR",
    "map": "MAP",
    "map_min": "MAP (min)",
    "precision": "Precision",
}

MEASURES = {
    "roc_auc": "ROC-AUC",
    "average_precision": "AP",
    "accuracy": "Accuracy",
    "weighted": "Weighted score",
    "r2": "R²",
    "f1": "F1",
}
"""Headings of the metrics of MIR tasks."""

SET_GLOSSARY = {
    "hot": "tracks that were heard in training compete with each other",
    "cold": "tracks that nobody heard in training compete with each other",
    "mixed": "hot and cold tracks compete in one list",
}

BEYOND = {
    "coverage": ("Coverage", "share of the candidates that are recommended to anybody"),
    "gini": (
        "Gini",
        "inequality of how often candidates are recommended: 0 all alike, near 1 one takes everything",
    ),
    "arp": ("ARP", "mean popularity of the recommended tracks, as a share of training users"),
    "lift": (
        "Popularity lift",
        "popularity of the list over that of the user's own history, minus 1: 0 is as mainstream",
    ),
    "novelty": ("Novelty", "mean surprise, -log2 of the share of users who know a recommended track, in bits"),
    "artist_entropy": ("Artist entropy", "variety of artists in a list, in bits: 0 for a single artist"),
    "ild": ("ILD", "mean cosine distance between the tracks of a list, in the named fixed space"),
}
"""Beyond accuracy: name -> (heading, one line of glossary). ``ild:NAME`` is ILD in the space NAME."""


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
    """Return the heading of ``ndcg@10`` (``NDCG@10``) or ``ild:mfcc@10`` (``ILD mfcc@10``)."""
    name, k = parts(metric)
    return f"{word(name)}@{k}"


def word(name: str) -> str:
    """Return the heading of a metric without its k: ``ndcg`` (``NDCG``) or ``ild:mfcc`` (``ILD mfcc``)."""
    base, _, space = name.partition(":")
    known = HEADINGS.get(base) or BEYOND.get(base, (base, ""))[0]
    return f"{known} {space}" if space else known


def measure(metric: str) -> str:
    """Return the heading of an MIR task's metric."""
    return MEASURES.get(metric, metric)


def glossary(metric: str) -> str | None:
    """Return one line that says what a metric (without its k) is; None for one from elsewhere."""
    base = metric.partition(":")[0]
    if base in METRICS:
        return METRICS[base][1]
    return BEYOND[base][1] if base in BEYOND else None


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


def line(text: object) -> str:
    """Return any text as one line without control characters."""
    return "".join(c for c in " ".join(str(text).split()) if c.isprintable())


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
