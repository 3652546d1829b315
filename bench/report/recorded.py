"""The intervals that a record holds, less those that say nothing."""

from __future__ import annotations

from bench.records import Record
from bench.stats import LEAST_USERS, Interval, wilson


def span(record: Record, where: str, metric: str) -> Interval | None:
    """Return a recorded interval, or None where there is none, or fewer than `LEAST_USERS` users (or test tracks).

    One without width says nothing either, as it comes from values that are all the same: where these are shares of
    0 or 1, Wilson's interval takes its place.
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
