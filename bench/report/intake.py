"""Which records can stand in a table: the reader of records checks their fields, not the content."""

from __future__ import annotations

import math

from bench.files import digest
from bench.report.words import SETS, parts
from bench.results import Record

LANES = ("corrected", "published", "mixed")
"""In the order of the blocks."""

PART = "test"
"""Where the figures of an MIR task stand in a record."""


def incomplete(record: Record) -> str | None:
    """Return why a record cannot stand in a table, or None."""
    try:
        return _trouble(record)
    except KeyError as error:
        return f"the record lacks {error}"
    except (TypeError, ValueError, AttributeError) as error:
        return f"the record is damaged: {error}"


def _trouble(record: Record) -> str | None:
    """Return what is wrong; touch everything else that tables use, so that damage shows here."""
    texts = [record.data["name"], record.split["name"], record.split["fingerprint"], *record.warnings]
    for side in (record.extractor, record.recommender):
        texts += [side["name"], side["spec"], side["lane"]]
        digest(side)
    if strange := [text for text in texts if not isinstance(text, str)]:
        return f"{strange[0]!r} is not text"
    int(record.extractor["width"])
    dict(record.extractor["view"]), dict(record.cost), dict(record.environment)
    if not 0 <= float(record.extractor["coverage"]) <= 1:
        return f"coverage {record.extractor['coverage']} is not between 0 and 1"
    if record.lane not in LANES:
        return f"the lane {record.lane!r} is none of {', '.join(LANES)}"
    probe = PART in record.metrics
    if probe:
        dict(record.data.get("task") or {})
    if (not record.k and not probe) or any(type(k) is not int for k in record.k):
        return f"k is {record.k!r}, not a list of numbers"
    if type(record.seed) is not int or not isinstance(record.control, bool):
        return f"seed {record.seed!r} or control {record.control!r} is of another type"
    values = [
        (where, metric, value)
        for part in (record.metrics, record.chance, record.beyond, record.users, record.candidates)
        for where, named in part.items()
        for metric, value in (named.items() if isinstance(named, dict) else [("count@0", named)])
    ]
    for where, named in record.intervals.items():
        for metric, (low, high) in named.items():
            values += [(where, metric, low), (where, metric, high)]
    for where, metric, value in values:
        if not probe:
            parts(metric)
        if where not in ((PART,) if probe else SETS):
            return f"unknown candidate set {where!r}"
        if not math.isfinite(value):
            return f"{where} {metric} is not finite"
    return None
