"""The description of a metric: heading, glossary entry, range, direction and version."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TypeVar

RECOMMENDATION = "recommendation"
"""The kind of every metric of top-k lists."""


@dataclass(frozen=True)
class Metric:
    """One row of a table of metrics."""

    name: str
    """Name in records, without k and label: ``ndcg`` for ``ndcg@10``, ``roc_auc`` for ``roc_auc:guitar``."""
    heading: str
    """Heading in reports."""
    glossary: str
    """One-line description of the value."""
    _: KW_ONLY
    range: tuple[float, float] = (0.0, 1.0)
    """Least and greatest possible value."""
    higher_is_better: bool | None = True
    """None if neither direction is better in general."""
    version: str = "1"
    """Increase it when values can change; records made with another version are recomputed."""
    kinds: tuple[str, ...] = (RECOMMENDATION,)
    """`RECOMMENDATION`, or the kinds of MIR task (`bench.protocols.TaskKind`) that use the metric."""

    @property
    def values(self) -> str:
        """The range and the better direction in words, ``0 to 1, higher is better``."""
        low, high = (f"{bound:g}" for bound in self.range)
        span = f"{low} to {high}"
        if math.isinf(self.range[0]):
            span = f"at most {high}"
        elif math.isinf(self.range[1]):
            span = f"at least {low}"
        if self.higher_is_better is None:
            return span
        return f"{span}, {'higher' if self.higher_is_better else 'lower'} is better"


M = TypeVar("M", bound=Metric)


def table(*rows: M) -> dict[str, M]:
    """Return metrics by name.

    Raises
    ------
    ValueError
        When two metrics share a name.

    """
    found: dict[str, M] = {}
    for row in rows:
        if row.name in found:
            raise ValueError(f"there are two metrics {row.name!r}")
        found[row.name] = row
    return found
