"""What tables show of records: meaningful intervals, and layers that validation chose."""

from __future__ import annotations

from collections.abc import Iterable

from bench.records import Record
from bench.stats import LEAST_USERS, Interval, wilson


def span(record: Record, where: str, metric: str) -> Interval | None:
    """Return a recorded interval; None where it is missing or has fewer than `LEAST_USERS` users (or test tracks).

    An interval of zero width is dropped as well, because all its values are equal. For shares of 0 or 1, Wilson's
    interval replaces it.
    """
    found = record.intervals.get(where, {}).get(metric)
    if found is None or record.kind == "imported":
        return found and Interval(*found)
    users = record.users.get(where, 0)
    if users < LEAST_USERS:
        return None
    if found[0] < found[1]:
        return Interval(*found)
    mean = record.metrics[where].get(metric)
    is_share = metric == "accuracy" or not record.is_probe
    return wilson(mean, users) if is_share and mean in (0.0, 1.0) else None


def chosen_layers(records: Iterable[Record]) -> str:
    """Return the layers that validation chose, `` (pool4, pool5)`` of several seeds; empty if it chose none."""
    found = dict.fromkeys(record.extractor.chosen.layer for record in records if record.extractor.chosen)
    return f" ({', '.join(found)})" if found else ""
