"""Format names and numbers for all tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from bench.errors import BenchError, did_you_mean
from bench.metrics import METRICS, find

SETS = ("cold", "hot", "mixed")
"""Candidate sets in table order."""

MAIN = ("hitrate", "recall", "ndcg")
"""Metrics shown in the main tables by default; the CSV always has all metrics."""

RANKED_BY = "ndcg"
"""The metric by which rows are sorted, and which has an interval in the main tables."""

NONE = "–"
"""Shown for a missing value."""

SET_GLOSSARY = {
    "hot": "tracks that were heard in training compete with each other",
    "cold": "tracks that nobody heard in training compete with each other",
    "mixed": "hot and cold tracks compete in one list",
}

HEARD = (
    "Heard: the share of the tested tracks that the extractor was trained on, by track ids; – where they are not known."
)
"""Explains the column of that name."""

_FOLDERS = re.compile(r"(=\(?)/[^=,()]*/")
"""Matches the folders of an absolute path in a spec."""


def without_folders(spec: str) -> str:
    """Return a spec whose files are named without their folders: tables are for others to read."""
    return _FOLDERS.sub(r"\1", spec)


def number(value: float | None, digits: int = 4) -> str:
    """Return `value` with `digits` decimals, or a dash when it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def short(value: float | None, digits: int = 4) -> str:
    """Format like `number`, without the leading zero (``.1234``)."""
    return number(value, digits).removeprefix("0")


def bounds(mean: float, low: float | None, high: float | None) -> str:
    """Return a mean with its interval where there is one, ``0.1234 [0.1150, 0.1320]``."""
    if low is None or high is None:
        return number(mean)
    return f"{number(mean)} [{number(low)}, {number(high)}]"


def percent(share: float | None) -> str:
    """Return a share in per cent with one decimal, rounded down so that only 1 becomes 100.0 %."""
    if share is None or not math.isfinite(share):
        return NONE
    return f"{math.floor(share * 1000 + 1e-9) / 10:.1f} %"


def heard(share: float | None) -> str:
    """Return a share of heard tracks in per cent, rounded up so that only 0 becomes 0 %."""
    if share is None:
        return NONE
    return f"{math.ceil(share * 1000 - 1e-9) / 10:.1f} %" if share else "0 %"


def share(part: float | None) -> str:
    """Return a share in whole per cent, ``-48 %``."""
    return NONE if part is None or not math.isfinite(part) else f"{number(100 * part, 0)} %"


def p_value(p: float | None) -> str:
    """Return a p value with three decimals, ``.042``, or ``<.001``."""
    if p is None:
        return NONE
    return "<.001" if p < 0.001 else short(p, 3)


def first_few(names: Iterable[str], most: int = 3) -> str:
    """Return the first names, and the number of the others."""
    names = list(names)
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def heading(metric: str) -> str:
    """Return the heading of ``ndcg@10`` (``NDCG@10``), ``ild:mfcc`` (``ILD mfcc``) or ``roc_auc`` (``ROC-AUC``)."""
    known = find(metric)
    return known.heading + metric.removeprefix(known.name).replace(":", " ", 1) if known else metric


def glossary(metric: str) -> str | None:
    """Return a one-line description of a metric; None for a plugin's metric."""
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
    """Return the requested metrics unchanged if all of them are known.

    Raises
    ------
    BenchError
        For an unknown metric.

    """
    for name in metrics:
        if name not in METRICS:
            raise BenchError(f"there is no metric {name!r}.{did_you_mean(name, METRICS)}")
    return metrics
