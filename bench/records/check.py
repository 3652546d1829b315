"""Check that the parts of a record are consistent: candidate sets, cut-offs, and ranges of metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from bench.records.invalid import InvalidValueError
from bench.records.limits import LARGEST_FLOAT, Range, shown
from bench.records.record import PROBED, SETS, Record

ROUNDING = 1e-9
"""Tolerance for a mean outside its metric's range."""


def check(record: Record) -> None:
    """Check that the parts of a record are consistent.

    Raises
    ------
    InvalidValueError
        For an inconsistent value, with its path.

    """
    if record.kind == "probe":
        _refuse(bool(record.k), "a probe has no cut-offs", "k")
        _refuse(record.data.task is None, "is missing", "data", "task")
        _refuse(record.data.collection is None, "is missing", "data", "collection")
    else:
        _refuse(not record.k, "a list of 0 entries, not 1 or more", "k")
    _refuse(record.ranks is not None and record.kind != "run", "only a run has ranks", "ranks")
    allowed = (PROBED,) if record.is_probe else SETS
    if record.kind == "run":
        for where in record.metrics:
            _refuse(where not in record.users, "is missing", "users", where)
    for name in ("metrics", "intervals", "chance", "beyond", "users", "candidates"):
        at: Iterable[str] = getattr(record, name)
        for where in at:
            _refuse(where not in allowed, f"is none of {', '.join(allowed)}", name, where)
    is_probe = record.is_probe
    for path, metric, value in _values(record):
        if not is_probe and not _has_cutoff(metric):
            raise InvalidValueError(f"{shown(metric)} names no cut-off such as @10", *path)
        if why := _range(metric).wrong(value):
            # A printed interval (mean ± error) may extend beyond the range.
            _refuse(record.kind != "imported" or path[0] != "intervals", why, *path, metric)
    for where, named in record.intervals.items():
        for metric, (low, high) in named.items():
            if low > high:
                raise InvalidValueError(f"{low!r} is above {high!r}", "intervals", where, metric)


def _values(record: Record) -> Iterator[tuple[tuple[str, str], str, float]]:
    for name in ("metrics", "chance", "beyond", "validation"):
        means: dict[str, dict[str, float]] = getattr(record, name)
        for where, named in means.items():
            for metric, value in named.items():
                yield (name, where), metric, value
    for where, spans in record.intervals.items():
        for metric, span in spans.items():
            for value in span:
                yield ("intervals", where), metric, value


@lru_cache(4096)
def _range(metric: str) -> Range:
    """Return the range of a metric, with a tolerance for rounding; unlimited for an unknown metric."""
    from bench.metrics import range_of  # imports NumPy, which the types of a record do not need

    low, high = range_of(metric)
    return Range(max(low - ROUNDING, -LARGEST_FLOAT), min(high + ROUNDING, LARGEST_FLOAT))


@lru_cache(4096)
def _has_cutoff(metric: str) -> bool:
    name, _, k = metric.rpartition("@")
    return bool(name) and k.isascii() and k.isdecimal() and len(k) <= 7 and int(k) >= 1


def _refuse(wrong: bool, why: str, *at: str) -> None:
    if wrong:
        raise InvalidValueError(why, *at)
